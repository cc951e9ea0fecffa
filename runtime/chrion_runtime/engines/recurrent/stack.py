"""What the nodes of a stage amount to: recurrent layers on top of each other, and where they read and write.

The names of the axes are those of ONNX's operators: X [steps, batch, inputs], Y [steps, directions, batch, units],
states [directions, batch, units].
"""

from collections.abc import Mapping
from dataclasses import dataclass

from chrion_api import WeightFormat
from chrion_runtime.engines.recurrent.views import Joined, ValueView

STEPS, DIRECTIONS, BATCH, UNITS = "steps", "directions", "batch", "units"

KINDS = ("LSTM", "GRU", "GRU before", "RNN")
"""In the library's order; a GRU is one that resets after the product, or `before` it."""

ACTIVATIONS = ("sigmoid", "tanh", "relu")
"""In the library's order."""

SHARING = ("Alone", "Pieces", "Units")
"""How threads share a run, in the library's order; see `enum sharing`."""

PRECISIONS = (WeightFormat.FLOAT32, WeightFormat.FLOAT16, WeightFormat.INT8)
"""In the library's order; see `enum precision`."""

GATES = {"LSTM": 4, "GRU": 3, "GRU before": 3, "RNN": 1}
"""Rows of weights that each unit has."""


@dataclass(frozen=True)
class Direction:
    """One direction of a layer."""

    reversed: bool
    activations: tuple[str, ...]


@dataclass(frozen=True)
class Level:
    """One layer of a stack."""

    kind: str
    inputs: int
    units: int
    directions: tuple[Direction, ...]
    weights: tuple[str, str, str]
    """The constants W, R and B, of which the last may be left out: empty."""
    first_hidden: ValueView | None
    """None for zeros."""
    first_cell: ValueView | None


@dataclass(frozen=True)
class Stack:
    """Layers on top of each other as one kernel."""

    levels: tuple[Level, ...]
    x: ValueView
    """[steps, batch, inputs]."""
    lengths: str
    """The value that says how many steps each row of the batch has; empty for all."""
    outputs: Mapping[str, ValueView | Joined]
