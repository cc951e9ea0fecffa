"""What a device is: lanes, a memory, and ONNX Runtime sessions that run there. A new device is one new module."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from chrion_api import DeviceKey, GpuBytes, GpuBytesFrom, Optimization
from chrion_graph.ort import bound_loading
from chrion_runtime.servable import Array
from chrion_runtime.stop import Stop

Value = Any
"""A tensor in a device's memory: a numpy array for devices that compute in host memory, else an OrtValue."""


class BoundSession:
    """A session, bound in advance to the values that it reads and writes."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._binding = session.io_binding()

    def input(self, name: str, value: ort.OrtValue) -> None:
        """Read this value from now on."""
        self._binding.bind_ortvalue_input(name, value)

    def output(self, name: str, value: ort.OrtValue) -> None:
        """Write to this value from now on."""
        self._binding.bind_ortvalue_output(name, value)

    def run(self, stop: Stop | None = None) -> None:
        """Run once; what it wrote is complete when this returns."""
        self._launch(stop)

    def _launch(self, stop: Stop | None) -> None:
        options = None if stop is None else stoppable(ort.RunOptions(), stop)
        self._session.run_with_iobinding(self._binding, options)


class CapturedSession(BoundSession):
    """A session whose first run is captured and then replayed: on the same thread, with the same values, always.

    Where either changed, a replay would go wrong without a word, so that here it is an error.
    """

    def __init__(self, session: ort.InferenceSession) -> None:
        super().__init__(session)
        self._owner: int | None = None

    @property
    def captured(self) -> bool:
        """Whether there was a first run, and it went well."""
        return self._owner is not None

    def input(self, name: str, value: ort.OrtValue) -> None:
        self._refuse_rebinding()
        super().input(name, value)

    def output(self, name: str, value: ort.OrtValue) -> None:
        self._refuse_rebinding()
        super().output(name, value)

    def run(self, stop: Stop | None = None) -> None:
        del stop  # a captured run is launched as a whole
        here = threading.get_ident()
        if self._owner not in (None, here):
            raise RuntimeError("a captured stage runs on the thread that captured it")
        self._launch(None)
        self._owner = here

    def _refuse_rebinding(self) -> None:
        if self.captured:
            raise RuntimeError("a captured stage reads and writes where it did when it was captured")


class Device(ABC):
    """One device of this machine.

    `name` is its name in plans (`cpu`, `cuda:0`), `memory` names the memory its values live in: values move
    without a copy between devices of the same memory.
    """

    name: str
    memory: str
    captures: bool = False
    """Whether stages may be captured once and replayed (`cudaGraph`)."""

    def __init__(self, name: str, memory: str, lanes: int) -> None:
        self.name = name
        self.memory = memory
        self.lanes = tuple(f"{name}/{index}" for index in range(lanes))

    @property
    @abstractmethod
    def key(self) -> DeviceKey:
        """What measurements on this device hold for."""

    @cached_property
    def context_bytes(self) -> int:
        """Device memory that a process takes before it loads anything."""
        return 0

    @cached_property
    def total_bytes(self) -> int | None:
        """Device memory in all; None where it cannot be told, and for the host's."""
        return None

    @abstractmethod
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
        """A session of a sub-model's file over `lanes` lanes; `spin` lets its idle threads wait actively.

        `capture` is for devices that have `captures` only; `limit` bounds in bytes what its arena may take of the
        device's memory, where the device can hold a session to it. Raises DeviceUnavailable where ONNX Runtime
        silently loaded it elsewhere.
        """

    def scope(self, lane: str) -> str:
        """Lanes of the same scope may share a session."""
        del lane
        return self.name

    @abstractmethod
    def put(self, array: Array) -> Value:
        """A copy, or on the host a view, of a host array in this device's memory."""

    @abstractmethod
    def get(self, value: Value) -> Array:
        """A host array of a value in this device's memory, or of an OrtValue there."""

    @abstractmethod
    def run(
        self,
        session: ort.InferenceSession,
        names: Sequence[str],
        values: Sequence[Value],
        outputs: Sequence[str],
        stop: Stop | None = None,
    ) -> list[Value]:
        """Run once with values of any shape; the results are new values. Nothing is captured or replayed."""

    def bind(self, session: ort.InferenceSession, capture: bool = False) -> BoundSession:
        """A session to be bound in advance; with `capture`, its first run is captured."""
        return CapturedSession(session) if capture else BoundSession(session)

    @abstractmethod
    def allocate(self, dtype: np.dtype[Any], shape: Sequence[int]) -> ort.OrtValue:
        """An uninitialised tensor in this device's memory, to be bound and used again."""

    def host(self, dtype: np.dtype[Any], shape: Sequence[int]) -> Array:
        """An uninitialised array on the host that is quickly copied from and to this device, to be used again."""
        return np.empty(shape, dtype)

    def write(self, value: ort.OrtValue, array: Array) -> None:
        """Copy a host array into a tensor of this device; complete when this returns."""
        value.update_inplace(array)

    def read(self, value: ort.OrtValue, array: Array) -> None:
        """Copy a tensor of this device into a host array; complete when this returns."""
        np.copyto(array, self.get(value))

    def copy(self, source: ort.OrtValue, target: ort.OrtValue) -> None:
        """Copy one tensor of this device into another of its type and shape; complete when this returns."""
        target.update_inplace(source.numpy())

    def used(self) -> GpuBytes | None:
        """Device memory that this process takes now; None where it cannot be told."""
        return None

    @property
    def used_from(self) -> GpuBytesFrom:
        """How `used` is told."""
        return GpuBytesFrom.PROCESS

    def free_bytes(self) -> int | None:
        """Device memory that nobody takes now; None where it cannot be told, and for the host's."""
        return None


def level(optimization: Optimization) -> ort.GraphOptimizationLevel:
    """ONNX Runtime's level for a stage's optimisation; sub-models are cut from an already normalised graph."""
    if optimization is Optimization.ALL:
        return ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    return ort.GraphOptimizationLevel.ORT_DISABLE_ALL


def options(threads: int, optimization: Optimization, spin: bool) -> ort.SessionOptions:
    """Session options that all devices share."""
    found = ort.SessionOptions()
    found.graph_optimization_level = level(optimization)
    found.intra_op_num_threads = threads
    found.inter_op_num_threads = 1
    found.log_severity_level = 4  # what goes wrong reaches the caller as an exception
    bound_loading(found)
    if threads > 1 and not spin:
        # Idle threads of one session would otherwise steal the cores of the next.
        found.add_session_config_entry("session.force_spinning_stop", "1")
    return found


def stoppable(options: ort.RunOptions, stop: Stop | None) -> ort.RunOptions:
    """These run options, through which `stop` ends a session's run: ONNX Runtime looks between nodes, also in Loops."""

    def terminate() -> None:
        options.terminate = True

    if stop is not None:
        stop.on_set(terminate)
    return options
