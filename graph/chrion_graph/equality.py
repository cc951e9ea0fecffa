"""When two answers of a model count as equal."""

from collections.abc import Mapping
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
                return f'output "{name}" has other values'
        elif not np.allclose(value, expected, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True):
            worst = float(np.nanmax(np.abs(value - expected)))
            return f'output "{name}" differs by up to {worst:.3g}'
    return ""
