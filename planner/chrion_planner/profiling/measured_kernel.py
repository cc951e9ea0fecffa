"""Kernels that are measured: compiled, and bound in advance to values that lie where they are needed.

Runs inside a worker process.
"""

import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from chrion_api import ONNXRUNTIME
from chrion_graph.types import STRING
from chrion_planner.stopwatch import median_seconds
from chrion_runtime.devices import Device, Tensor
from chrion_runtime.engines import Kernel, Ports, Site, engine_named


def load(model: onnx.ModelProto, device: Device, folder: Path, lanes: int = 1) -> Kernel:
    """A kernel of a model whose weights lie in `folder`; nothing is optimised."""
    # Others may profile the same model from the same folder.
    with tempfile.NamedTemporaryFile(dir=folder, prefix="probe-", suffix=".onnx") as file:
        file.write(model.SerializeToString())
        file.flush()
        return engine_named(ONNXRUNTIME).compile(Path(file.name), Site(device, lanes), {})


def ports_of(model: onnx.ModelProto) -> Ports:
    """All that a model reads and makes."""
    return Ports(
        tuple(value.name for value in model.graph.input),
        tuple(value.name for value in model.graph.output),
    )


class MeasuredKernel:
    """A kernel that runs on these arrays; all that can be bound in advance is."""

    def __init__(self, kernel: Kernel, model: onnx.ModelProto, arrays: Sequence[NDArray[Any]], device: Device) -> None:
        self._kernel, self._ports = kernel, ports_of(model)
        values = (*model.graph.input, *model.graph.output)
        self._strings = any(value.type.tensor_type.elem_type == STRING for value in values)
        self._reads: list[Tensor] = [device.memory.put(array) for array in arrays]
        self._held: list[Tensor] = []
        if not self._strings:
            self._bind(arrays, device)

    def _bind(self, arrays: Sequence[NDArray[Any]], device: Device) -> None:
        memory = device.memory
        made = self._kernel.run(self._ports, self._reads)
        self._reads.clear()
        reads = [memory.allocate(array.dtype, array.shape) for array in arrays]
        for tensor, array in zip(reads, arrays, strict=True):
            memory.write(tensor, array)
        writes = [memory.allocate(tensor.dtype, tensor.shape) for tensor in made]
        self._held = [*reads, *writes]
        self._call = self._kernel.bind(self._ports, reads, writes)

    @property
    def nbytes(self) -> int:
        """What the values take that it is bound to; 0 for strings, which cannot be bound."""
        return sum(tensor.nbytes for tensor in self._held)

    def run(self) -> None:
        """Run once."""
        if self._strings:
            self._kernel.run(self._ports, self._reads)
        else:
            self._call()


def crowded_seconds(own: MeasuredKernel, others: Sequence[MeasuredKernel], about_seconds: float = 0.03) -> float:
    """Median seconds of a run while each of the others runs again and again on a thread of its own."""
    done = threading.Event()

    def crowd(other: MeasuredKernel) -> None:
        while not done.is_set():
            other.run()

    threads = [threading.Thread(target=crowd, args=(other,)) for other in others]
    for thread in threads:
        thread.start()
    try:
        return median_seconds(own.run, about_seconds)
    finally:
        done.set()
        for thread in threads:
            thread.join()
