"""An emulated accelerator, for tests: a CPU core behind a memory of its own, with real copies in and out.

It exists so that memory mode, frontiers and transfers run for real on a machine with no GPU. It is never chosen by
default and says what it is in every device key.
"""

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from chrion_api import DeviceKey, GpuBytes, Optimization
from chrion_graph.types import tensor_bytes
from chrion_runtime.devices.cpu import product
from chrion_runtime.devices.device import Device, options
from chrion_runtime.servable import Array


class Emulated(Device):
    """One lane of one thread; every byte that is put into its memory is copied and counted."""

    def __init__(self, name: str, index: int) -> None:
        super().__init__(name, name, 1)
        self._index = index
        self._weights = 0
        self._activations = 0

    @property
    def key(self) -> DeviceKey:
        return DeviceKey(
            product=f"emulated accelerator {self._index} on {product()}", cores=1, onnxruntime=ort.__version__
        )

    def session(self, path: Path, lanes: int, optimization: Optimization, spin: bool) -> ort.InferenceSession:
        session = ort.InferenceSession(path, options(lanes, optimization, spin), providers=["CPUExecutionProvider"])
        model = onnx.load(path, load_external_data=False)
        nbytes = sum(tensor_bytes(tensor.data_type, tuple(tensor.dims)) for tensor in model.graph.initializer)
        self._weights += nbytes
        weakref.finalize(session, self._free_weights, nbytes)
        return session

    def put(self, array: Array) -> Array:
        return self._counted(np.array(array, order="C"))

    def get(self, value: Array) -> Array:
        return np.array(value, order="C")

    def run(
        self, session: ort.InferenceSession, names: Sequence[str], values: Sequence[Array], outputs: Sequence[str]
    ) -> list[Array]:
        found = session.run(outputs, dict(zip(names, values, strict=True)))
        return [self._counted(array) for array in found]

    def allocate(self, dtype: np.dtype[Any], shape: Sequence[int]) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_numpy(self._counted(np.zeros(shape, dtype)))

    def used(self) -> GpuBytes:
        return GpuBytes(weights=self._weights, activations=self._activations)

    def _counted(self, array: Array) -> Array:
        self._activations += array.nbytes
        weakref.finalize(array, self._free_activations, array.nbytes)
        return array

    def _free_weights(self, nbytes: int) -> None:
        self._weights -= nbytes

    def _free_activations(self, nbytes: int) -> None:
        self._activations -= nbytes
