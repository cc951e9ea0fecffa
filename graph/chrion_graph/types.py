"""Element types and shapes of values, between ONNX, ONNX Runtime and numpy."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

STRING = int(TensorProto.STRING)
UNDEFINED = "undefined"
"""The name of element types that ONNX has not."""

_ORT_NAMES = {
    "float": TensorProto.FLOAT,
    "double": TensorProto.DOUBLE,
    "float16": TensorProto.FLOAT16,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "bool": TensorProto.BOOL,
    "string": TensorProto.STRING,
}
"""The element types that ONNX Runtime and numpy share: only such values can leave or enter a session."""


@dataclass(frozen=True)
class TensorType:
    """Element type (ONNX's number) and shape of a tensor; an open axis is its symbol or None."""

    element: int
    shape: tuple[int | str | None, ...] | None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy dtype; object for strings."""
        return onnx.helper.tensor_dtype_to_np_dtype(self.element)

    def to_proto(self) -> onnx.TypeProto:
        """As ONNX writes it."""
        return onnx.helper.make_tensor_type_proto(self.element, self.shape)

    @classmethod
    def from_proto(cls, proto: onnx.TypeProto) -> "TensorType | None":
        """From ONNX; None for anything but a tensor whose element type ONNX Runtime shares with numpy."""
        if proto.WhichOneof("value") != "tensor_type" or proto.tensor_type.elem_type not in _ORT_NAMES.values():
            return None
        tensor = proto.tensor_type
        if not tensor.HasField("shape"):
            return cls(tensor.elem_type, None)
        return cls(tensor.elem_type, tuple(_axis(dim) for dim in tensor.shape.dim))

    @classmethod
    def from_ort(cls, type_name: str, shape: list[int | str | None]) -> "TensorType | None":
        """From what a session says of its inputs and outputs, such as `tensor(float)`; None for other kinds."""
        element = _ORT_NAMES.get(type_name.removeprefix("tensor(").removesuffix(")"))
        # A session writes a shape of unknown rank as it writes a scalar's.
        return None if element is None else cls(int(element), tuple(shape) if shape else None)


def _axis(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    kind = dim.WhichOneof("value")
    if kind == "dim_value":
        return dim.dim_value if dim.dim_value >= 0 else None
    return dim.dim_param or None if kind == "dim_param" else None


def element_name(element: int) -> str:
    """An element type as numpy calls it, such as `float32`; `string`, and UNDEFINED for what ONNX has not."""
    if element == TensorProto.STRING:
        return "string"
    known = element in onnx.helper.get_all_tensor_dtypes()
    return str(onnx.helper.tensor_dtype_to_np_dtype(element)) if known else UNDEFINED


def tensor_bytes(element: int, shape: tuple[int, ...]) -> int:
    """Bytes of a tensor; strings count as pointers."""
    return prod(shape) * onnx.helper.tensor_dtype_to_np_dtype(element).itemsize
