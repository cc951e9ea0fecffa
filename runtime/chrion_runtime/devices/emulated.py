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
from chrion_graph.load import graphs
from chrion_graph.types import tensor_bytes
from chrion_runtime.devices.cpu import product
from chrion_runtime.devices.device import Device, options, stoppable
from chrion_runtime.devices.run_memory import RUN_MEMORY
from chrion_runtime.servable import Array
from chrion_runtime.stop import Stop


class Emulated(Device):
    """Lanes of one thread each; every byte that is put into its memory is copied and counted.

    As on a GPU there are two lanes with sessions of their own, and stages may be captured: what is captured here is
    kept to its thread and its values, though nothing is faster by it.
    """

    captures = True

    def __init__(self, name: str, index: int) -> None:
        super().__init__(name, name, 2)
        self._index = index
        # What lives, by a token each: unlike a sum, safe to change from any thread and from the garbage collector.
        self._weights: dict[object, int] = {}
        self._activations: dict[object, int] = {}

    @property
    def key(self) -> DeviceKey:
        return DeviceKey(
            product=f"emulated accelerator {self._index} on {product()}", cores=1, onnxruntime=ort.__version__
        )

    def session(
        self,
        path: Path,
        lanes: int,
        optimization: Optimization,
        spin: bool,
        *,
        capture: bool = False,
        limit: int | None = None,
    ) -> ort.InferenceSession:
        del capture, limit
        found = options(lanes, optimization, spin)
        RUN_MEMORY.share(found)
        session = ort.InferenceSession(path, found, providers=["CPUExecutionProvider"])
        model = onnx.load(path, load_external_data=False)
        stored = [tensor for graph in graphs(model) for tensor in graph.initializer]
        nbytes = sum(tensor_bytes(tensor.data_type, tuple(tensor.dims)) for tensor in stored)
        _count(self._weights, session, nbytes)
        return session

    def scope(self, lane: str) -> str:
        return lane

    def put(self, array: Array) -> Array:
        found = np.array(array, order="C")
        _count(self._activations, found, found.nbytes)
        return found

    def get(self, value: Array | ort.OrtValue) -> Array:
        return np.array(value if isinstance(value, np.ndarray) else value.numpy(), order="C")

    def run(
        self,
        session: ort.InferenceSession,
        names: Sequence[str],
        values: Sequence[Array],
        outputs: Sequence[str],
        stop: Stop | None = None,
    ) -> list[Array]:
        options = None if stop is None else stoppable(ort.RunOptions(), stop)
        found: list[Array] = session.run(outputs, dict(zip(names, values, strict=True)), options)
        for array in found:
            _count(self._activations, array, array.nbytes)
        return found

    def allocate(self, dtype: np.dtype[Any], shape: Sequence[int]) -> ort.OrtValue:
        array = np.zeros(shape, dtype)
        _count(self._activations, array, array.nbytes)
        return ort.OrtValue.ortvalue_from_numpy(array)

    def used(self) -> GpuBytes:
        return GpuBytes(weights=sum(list(self._weights.values())), activations=sum(list(self._activations.values())))


def _count(ledger: dict[object, int], owner: object, nbytes: int) -> None:
    """Enter bytes into a ledger for as long as their owner lives."""
    token = object()
    ledger[token] = nbytes
    weakref.finalize(owner, ledger.pop, token)
