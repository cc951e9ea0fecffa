"""A GPU's memory: values are ONNX Runtime's, so that its sessions and they share allocators; crossings are pinned."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from chrion_api import GpuBytes, GpuBytesFrom
from chrion_runtime.devices.memory import Memory, Tensor
from chrion_runtime.engines.onnxruntime.cuda import nvml
from chrion_runtime.engines.onnxruntime.cuda.capture_gate import GATE
from chrion_runtime.engines.onnxruntime.cuda.cudart import Cudart
from chrion_runtime.engines.onnxruntime.cuda.driver import Driver
from chrion_runtime.engines.onnxruntime.cuda.probe import cuda_major
from chrion_runtime.engines.onnxruntime.failure import run_error
from chrion_runtime.engines.onnxruntime.tensor import OrtTensor, ort_value
from chrion_runtime.servable import Array


class CudaMemory(Memory):
    """The memory of one GPU. Copies return only when their stream has nothing left to do."""

    def __init__(self, name: str, index: int) -> None:
        """Raises whatever ONNX Runtime or CUDA raises where the GPU cannot be used."""
        super().__init__(name)
        self._index = index
        nvml.remember(index)
        # The arena of values; those of sessions have an option of theirs.
        ort_state.set_arena_extend_strategy(ort_state.ArenaExtendStrategy.kSameAsRequested)
        # The one probe that cannot be fooled: a session would silently fall back to the CPU.
        self._first = self.allocate(np.dtype(np.float32), (1,))
        self._cudart = Cudart(cuda_major(), index)
        taken = nvml.taken(index)
        self._context = taken[0] if taken else 0
        self._driver = Driver()

    def put(self, array: Array) -> OrtTensor:
        tensor = self.allocate(array.dtype, array.shape)
        self.write(tensor, array)
        return tensor

    def get(self, tensor: Tensor) -> Array:
        array = np.empty(tensor.shape, tensor.dtype)
        self.read(tensor, array)
        return array

    def allocate(self, dtype: np.dtype[Any], shape: Sequence[int]) -> OrtTensor:
        with _cuda():
            return OrtTensor(ort.OrtValue.ortvalue_from_shape_and_type(list(shape), dtype.type, "cuda", self._index))

    def host(self, dtype: np.dtype[Any], shape: Sequence[int]) -> Array:
        with _cuda():
            return self._cudart.pinned(dtype, shape)

    def write(self, tensor: Tensor, array: Array) -> None:
        source = np.ascontiguousarray(array)
        with _cuda():
            self._cudart.copy(ort_value(tensor).data_ptr(), source.ctypes.data, source.nbytes)

    def read(self, tensor: Tensor, array: Array) -> None:
        with _cuda():
            self._cudart.copy(array.ctypes.data, ort_value(tensor).data_ptr(), array.nbytes)

    def copy(self, source: Tensor, target: Tensor) -> None:
        with _cuda():
            self._cudart.copy(ort_value(target).data_ptr(), ort_value(source).data_ptr(), source.nbytes)

    @cached_property
    def context_bytes(self) -> int:
        return self._context

    @cached_property
    def total_bytes(self) -> int | None:
        return self._driver.total_bytes(self._index)

    def free_bytes(self) -> int | None:
        with _cuda():
            return self._cudart.free_bytes()

    def used(self) -> GpuBytes | None:
        found = nvml.taken(self._index)
        if found is None:
            return None
        # What the rest is made of, nobody can tell from outside.
        context = min(self.context_bytes, found[0])
        return GpuBytes(workspace=found[0] - context, context=context)

    @property
    def used_from(self) -> GpuBytesFrom:
        found = nvml.taken(self._index)
        return found[1] if found else GpuBytesFrom.PREDICTED


@contextmanager
def _cuda() -> Iterator[None]:
    """Use CUDA while nobody captures. Raises RunError."""
    with GATE.use():
        try:
            yield
        except Exception as error:  # noqa: BLE001, ONNX Runtime raises many types
            raise run_error(error.with_traceback(None), gpu=True) from None
