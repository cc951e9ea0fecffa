"""Random inputs of the right names, shapes and types for a model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from chrion_api import ChrionError, InputSpec

Fill = bool | int | float | range
"""What an input holds: one number everywhere, or whole numbers drawn from a range."""


def fills(values: Mapping[str, Fill]) -> dict[str, bool | int | float]:
    """`values` with one number an input, for what takes no range: the largest of it."""
    return {name: max(value) if isinstance(value, range) else value for name, value in values.items()}


def input_specs(shapes: Mapping[str, tuple[int, ...]], values: Mapping[str, Fill]) -> tuple[InputSpec, ...]:
    """The inputs that a model is planned for, of which each has a shape, and some a value."""
    held = fills(values)
    return tuple(InputSpec(name=name, shape=shape, value=held.get(name)) for name, shape in shapes.items())


def random_inputs(
    model: onnx.ModelProto | str | Path,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    values: Mapping[str, Fill] | None = None,
    seed: int = 0,
) -> dict[str, npt.NDArray[Any]]:
    """An array for every input of the model (or of the model file), the same for the same seed.

    Where `values` says nothing, floats are normal with mean 0 and deviation 1, all else is zero or empty text.
    `shapes` may leave out inputs whose axes are all fixed. Raises ChrionError on an input that the model does not
    have, or one with an open axis and no shape.
    """
    if not isinstance(model, onnx.ModelProto):
        model = onnx.load(model, load_external_data=False)
    shapes, values = shapes or {}, values or {}
    held = {tensor.name for tensor in model.graph.initializer}
    wanted = {value.name: value.type.tensor_type for value in model.graph.input if value.name not in held}
    for name in (*shapes, *values):
        if name not in wanted:
            raise ChrionError(f'the model has no input "{name}"; its inputs are {", ".join(wanted)}')
    random = np.random.default_rng(seed)
    return {
        name: _array(
            random,
            shapes[name] if name in shapes else _fixed_shape(name, kind),
            onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type),
            values.get(name),
        )
        for name, kind in wanted.items()
    }


def _fixed_shape(name: str, kind: onnx.TypeProto.Tensor) -> tuple[int, ...]:
    if not kind.HasField("shape") or any(not axis.HasField("dim_value") for axis in kind.shape.dim):
        raise ChrionError(f'input "{name}" has open axes; give its shape')
    return tuple(axis.dim_value for axis in kind.shape.dim)


def _array(
    random: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any], fill: Fill | None
) -> npt.NDArray[Any]:
    if isinstance(fill, range):
        drawn = fill.start + fill.step * random.integers(len(fill), size=shape)
        return np.asarray(drawn, dtype=dtype)
    if fill is not None:
        return np.full(shape, fill, dtype=dtype)
    if dtype == np.dtype(object):
        return np.full(shape, "", dtype=dtype)
    # bfloat16 and the 8-bit floats are floats too, though numpy has no kind for them.
    if dtype.kind == "f" or dtype.name.startswith(("bfloat", "float")):
        return np.asarray(random.standard_normal(shape), dtype=dtype)
    return np.zeros(shape, dtype=dtype)
