"""Parts of constants: which weights an input is multiplied with, which biases are added, and what they hold."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chrion_graph.rewrite.support.reading import Reading

Range = tuple[int, int]


class View(NamedTuple):
    """The part of a weight that one input is multiplied with."""

    weight: str
    rows: Range
    """Along the input's features."""
    columns: Range
    """Along the gate's units."""
    transposed: bool
    """Whether the weight is stored as [columns, rows]."""
    scale: float


class Bias(NamedTuple):
    """The part of a constant that is added."""

    constant: str
    columns: Range
    scale: float


def weight(reading: Reading, view: View) -> npt.NDArray[np.float32]:
    """A part of a weight as [features, units]."""
    whole = reading.array(view.weight)
    part = (whole.T if view.transposed else whole)[slice(*view.rows), slice(*view.columns)]
    return part if view.scale == 1 else part * np.float32(view.scale)


def bias(reading: Reading, parts: Iterable[Bias], width: int) -> npt.NDArray[np.float32]:
    """The sum of some biases as [rows, units]; most have one row."""
    total = np.zeros((1, width), np.float32)
    for part in parts:
        whole = np.atleast_2d(reading.array(part.constant))
        total = total + np.float32(part.scale) * (whole if whole.shape[-1] == 1 else whole[:, slice(*part.columns)])
    return total
