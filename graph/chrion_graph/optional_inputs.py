"""Optional inputs: those with an initializer, which holds unless a request sends another value (ONNX IR 4 and later).

Exporters that list every initializer among the inputs, as IR 3 wanted, mean weights by them and no input.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor

_FIRST_IR = 4
_PREFIX = "chrion.default/"


def optional_inputs(model: onnx.ModelProto) -> frozenset[str]:
    """The inputs of a model that have a default."""
    stored = {tensor.name for tensor in model.graph.initializer}
    named = stored & {value.name for value in model.graph.input}
    return frozenset(named if model.ir_version >= _FIRST_IR and named != stored else ())


def required_inputs(model: onnx.ModelProto) -> frozenset[str]:
    """The inputs of a model that every request must send."""
    stored = {tensor.name for tensor in model.graph.initializer}
    return frozenset({value.name for value in model.graph.input} - stored)


def keep_inputs(model: onnx.ModelProto, folder: Path, required: Collection[str], optional: Collection[str]) -> None:
    """Leave a model only these inputs; the defaults of optional ones become constants that no node reads.

    `folder` holds the model's external data. Neither constants that were folded into others are inputs any more, nor
    optional ones that nothing reads.
    """
    kept = set(required)
    for tensor in model.graph.initializer:
        if tensor.name in optional:
            kept.add(tensor.name)
            load_inline(tensor, folder)
            tensor.name = _PREFIX + tensor.name
    for value in [value for value in model.graph.input if value.name not in kept]:
        model.graph.input.remove(value)


def defaults(constants: Mapping[str, onnx.TensorProto]) -> dict[str, NDArray[Any]]:
    """The values that inputs have where none are sent, of the constants of a graph."""
    kept = {name.removeprefix(_PREFIX): tensor for name, tensor in constants.items() if name.startswith(_PREFIX)}
    return {name: numpy_helper.to_array(tensor) for name, tensor in kept.items()}


def stored_defaults(model: onnx.ModelProto, folder: Path) -> dict[str, NDArray[Any]]:
    """The same of a model that was not normalised, whose external data is in `folder`."""
    optional = optional_inputs(model)
    return {
        tensor.name: numpy_helper.to_array(tensor, str(folder))
        for tensor in model.graph.initializer
        if tensor.name in optional
    }


def load_inline(tensor: onnx.TensorProto, folder: Path) -> None:
    """Bring the data of a tensor into it, where it lies outside."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        load_external_data_for_tensor(tensor, str(folder))
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
