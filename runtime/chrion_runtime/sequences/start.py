"""The state that a sequence starts with, and whether a request fits the state it has."""

from collections.abc import Mapping
from math import prod

import numpy as np

from chrion_api import Shape
from chrion_graph.inputs import NO_DEFAULTS
from chrion_graph.types import STRING, TensorType
from chrion_runtime.errors import SequenceMismatch
from chrion_runtime.servable import Array

Kinds = Mapping[str, TensorType]
Fills = Mapping[str, bool | int | float]


TEXT_BYTES = 32
"""What ONNX Runtime takes for a string of no more than a few characters."""


def start_shapes(kinds: Kinds, feeds: Mapping[str, Array], bucket: Mapping[str, Shape]) -> dict[str, Shape]:
    """The shape of the state that a sequence starts with, for each input of `kinds` that `feeds` lacks.

    An open axis that an input of the request has too, by its symbol, is as long as there; others are as in the bucket.
    """
    sizes = _sizes(kinds, {name: array.shape for name, array in feeds.items()})
    found: dict[str, Shape] = {}
    for name in kinds.keys() - feeds.keys():
        kind = kinds[name]
        axes = bucket[name] if kind.shape is None else kind.shape
        found[name] = tuple(
            axis if isinstance(axis, int) else sizes.get(axis, planned) if axis is not None else planned
            for axis, planned in zip(axes, bucket[name], strict=True)
        )
    return found


def state_bytes(kinds: Kinds, shapes: Mapping[str, Shape]) -> dict[str, int]:
    """What state of these shapes takes, for each input; exact, however large."""
    return {
        name: prod(shape) * (TEXT_BYTES if kinds[name].element == STRING else kinds[name].dtype.itemsize)
        for name, shape in shapes.items()
    }


def start_state(
    kinds: Kinds, shapes: Mapping[str, Shape], fills: Fills, defaults: Mapping[str, Array] = NO_DEFAULTS
) -> dict[str, Array]:
    """In these shapes what `fills` names, else the default of an input that has one of this shape, else zeros."""

    def start(name: str, shape: Shape) -> Array:
        if name not in fills and name in defaults and defaults[name].shape == shape:
            return defaults[name]
        return np.full(shape, "" if kinds[name].element == STRING else fills.get(name, 0), kinds[name].dtype)

    return {name: start(name, shape) for name, shape in shapes.items()}


def check_fits(kinds: Kinds, feeds: Mapping[str, Array], state: Mapping[str, Shape]) -> None:
    """Raise SequenceMismatch where an axis of the request is not as long as the same axis of the sequence's state."""
    sizes = _sizes(kinds, state)
    for name, array in feeds.items():
        for position, axis in enumerate(kinds[name].shape or ()):
            size = sizes.get(axis) if isinstance(axis, str) else None
            if size is not None and array.shape[position] != size:
                raise SequenceMismatch(
                    f'input "{name}": dimension {position} ({axis}) is {array.shape[position]}, but the state of the '
                    f"sequence was started with {size}: keep that size, or start again with sequence_start"
                )


def _sizes(kinds: Kinds, shapes: Mapping[str, Shape]) -> dict[str, int]:
    """The length of each axis that has a symbol."""
    found: dict[str, int] = {}
    for name, shape in shapes.items():
        for axis, size in zip(kinds[name].shape or (), shape, strict=False):
            if isinstance(axis, str):
                found.setdefault(axis, size)
    return found
