"""Tensors as ONNX Runtime binds them."""

from typing import Any

import numpy as np
import onnxruntime as ort
from onnx.helper import tensor_dtype_to_np_dtype

from chrion_runtime.devices.memory import HostTensor


class OrtTensor:
    """A tensor in memory that only ONNX Runtime, or CUDA, addresses."""

    __slots__ = ("dtype", "nbytes", "shape", "value")

    def __init__(self, value: ort.OrtValue) -> None:
        self.value = value
        self.shape: tuple[int, ...] = tuple(value.shape())
        self.dtype: np.dtype[Any] = tensor_dtype_to_np_dtype(value.element_type())
        self.nbytes: int = value.tensor_size_in_bytes()


def ort_value(tensor: Any) -> ort.OrtValue:
    """A tensor as ONNX Runtime binds it; never a copy of an array."""
    if isinstance(tensor, OrtTensor):
        return tensor.value
    if isinstance(tensor, HostTensor):
        if not isinstance(tensor.bound, ort.OrtValue):
            tensor.bound = ort.OrtValue.ortvalue_from_numpy(tensor.array)
        return tensor.bound
    return ort.OrtValue.ortvalue_from_numpy(np.asarray(tensor))
