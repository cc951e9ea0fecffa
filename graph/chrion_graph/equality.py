"""When two answers of a model count as equal, and how far apart others are."""

from collections.abc import Mapping
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""For floats, over other fusion levels, devices and rewrites; everything else must be the same."""


def difference(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> str:
    """What makes two answers differ, in words; empty where they are equal."""
    for name, expected in other.items():
        value = one.get(name)
        if value is None:
            return f'output "{name}" is missing'
        if value.shape != expected.shape or value.dtype != expected.dtype:
            return f'output "{name}" is {value.dtype}{list(value.shape)}, not {expected.dtype}{list(expected.shape)}'
        if not np.issubdtype(value.dtype, np.floating):
            if not np.array_equal(value, expected):
                return f'output "{name}" has different values'
        elif not np.allclose(value, expected, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True):
            worst = float(np.nanmax(np.abs(value - expected)))
            return f'output "{name}" differs by up to {worst:.3g}'
    return ""


def error(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> float:
    """How far an answer is off another: of all outputs the largest difference as a part of the largest value there.

    Of an output of zeros it is the difference itself; infinite where two answers cannot be compared, or what are no
    floats differ, or what is not finite does.
    """
    worst = 0.0
    for name, expected in other.items():
        value = one.get(name)
        if value is None or value.shape != expected.shape or value.dtype != expected.dtype:
            return inf
        if not np.issubdtype(value.dtype, np.floating):
            worst = worst if np.array_equal(value, expected) else inf
            continue
        finite = np.isfinite(expected)
        if (
            not np.array_equal(value[~finite], expected[~finite], equal_nan=True)
            or not np.isfinite(value[finite]).all()
        ):
            return inf
        largest = float(np.abs(expected[finite]).max(initial=0)) or 1.0
        worst = max(worst, float(np.abs(value[finite] - expected[finite]).max(initial=0)) / largest)
    return worst
