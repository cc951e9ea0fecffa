"""The inputs a model is planned for: shapes of each bucket, checked against the model, and values to run with."""

from collections.abc import Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chrion_api import InputSpec, Shape
from chrion_graph.errors import InputMismatch
from chrion_graph.graph import Graph
from chrion_graph.guesses import STEPS, Axis, in_words, option, size_of, written
from chrion_graph.types import STRING, TensorType

Values = Mapping[str, bool | int | float]
"""What to fill an input with, where random numbers or zeros will not do."""

NO_DEFAULTS: Mapping[str, NDArray[Any]] = MappingProxyType({})

MAX_BYTES = 1 << 30
"""What one input may take while a model is planned or warmed."""


def buckets(graph: Graph, specs: Sequence[InputSpec]) -> tuple[dict[str, Shape], ...]:
    """The shapes of every input, one dict a bucket.

    Raises InputMismatch for a name the model does not have, a wrong rank or size, an open axis with no shape given.
    """
    given = {spec.name: spec for spec in specs}
    for name in given:
        if name not in graph.inputs:
            raise InputMismatch(f'inputs: the model has no input "{name}"; it has {", ".join(graph.inputs)}')
    count = max((len(spec.buckets) for spec in specs), default=1) or 1
    found = []
    for index in range(count):
        shapes = {}
        for name in graph.inputs:
            listed = given[name].buckets if name in given else ()
            if not listed and name in graph.defaults:
                listed = (graph.defaults[name].shape,)
            shapes[name] = _shape(graph, name, listed[min(index, len(listed) - 1)] if listed else None)
        found.append(shapes)
    return tuple(found)


def _shape(graph: Graph, name: str, given: Shape | None) -> Shape:
    kind = graph.inputs[name]
    if kind is None:
        raise InputMismatch(f"inputs.{name}: is not a tensor: sequence and optional inputs are not supported")
    axes = kind.shape
    if given is None:
        if axes is None or any(not isinstance(axis, int) for axis in axes):
            raise InputMismatch(f"inputs.{name}: {_open(name, axes)}")
        return tuple(axis for axis in axes if isinstance(axis, int))
    if axes is not None:
        wanted = written(axes, "a scalar")
        if len(axes) != len(given):
            raise InputMismatch(f"inputs.{name}: shape {list(given)} has rank {len(given)}, the model wants {wanted}")
        for position, (axis, size) in enumerate(zip(axes, given, strict=True)):
            if isinstance(axis, int) and axis != size:
                raise InputMismatch(f"inputs.{name}: axis {position} is {size}, the model wants {axis} ({wanted})")
    return given


def _open(name: str, axes: Sequence[Axis] | None) -> str:
    """What is open of a shape that is given nowhere, and what to give: sizes that no name suggests stand there as 1."""
    if axes is None:
        return f"has open axes (?); give its shape, for example --input {option(name, (1, STEPS))}"
    sizes = [size_of(axis) for axis in axes]
    unsure = in_words([f"axis {axes[place] or place}" for place, size in enumerate(sizes) if size is None])
    example = option(name, [1 if size is None else size for size in sizes])
    example += f" with 1 for {unsure}" if unsure else ""
    return f"has open axes ({written(axes, '')}); give its shape, for example --input {example}"


def sample(
    inputs: Mapping[str, TensorType | None],
    shapes: Mapping[str, Shape],
    values: Values,
    seed: int = 0,
    defaults: Mapping[str, NDArray[Any]] = NO_DEFAULTS,
    other: int = 0,
) -> dict[str, NDArray[Any]]:
    """Values to run the model with: the fill that `values` names, the default where the input has one of this shape,
    else normal random floats, and `other` for what is no float.

    Raises InputMismatch for a shape that takes too much memory, and a fill that the input's type cannot hold.
    """
    random = np.random.default_rng(seed)
    found: dict[str, NDArray[Any]] = {}
    for name, kind in inputs.items():
        assert kind is not None, "buckets() refused it"
        shape = shapes[name]
        if prod(shape) * kind.dtype.itemsize > MAX_BYTES:
            raise InputMismatch(f"inputs.{name}: shape {list(shape)} takes more than 1 GiB; give a smaller one")
        if name in values:
            try:
                found[name] = np.full(shape, values[name], kind.dtype)
            except (OverflowError, ValueError):
                raise InputMismatch(f"inputs.{name}: {values[name]} does not fit into {kind.dtype}") from None
        elif name in defaults and defaults[name].shape == shape:
            found[name] = defaults[name]
        elif kind.element == STRING:
            found[name] = np.full(shape, "", object)
        elif np.issubdtype(kind.dtype, np.floating):
            found[name] = np.asarray(random.standard_normal(shape), kind.dtype)
        else:
            found[name] = np.full(shape, other, kind.dtype)
    return found
