"""What a device is: lanes, a memory, and ONNX Runtime sessions that run there. A new device is one new module."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from chrion_api import DeviceKey, GpuBytes, Optimization
from chrion_graph.ort import bound_loading
from chrion_runtime.servable import Array

Value = Any
"""A tensor in a device's memory: a numpy array for devices that compute in host memory, else an OrtValue."""

HOST = "host"
"""The memory where requests arrive and answers leave."""


class Device(ABC):
    """One device of this machine.

    `name` is its name in plans (`cpu`, `cuda:0`), `memory` names the memory its values live in: values move
    without a copy between devices of the same memory.
    """

    name: str
    memory: str

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
    def session(self, path: Path, lanes: int, optimization: Optimization, spin: bool) -> ort.InferenceSession:
        """A session of a sub-model's file over `lanes` lanes; `spin` lets its idle threads wait actively.

        Raises DeviceUnavailable where ONNX Runtime silently loaded it elsewhere.
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
        self, session: ort.InferenceSession, names: Sequence[str], values: Sequence[Value], outputs: Sequence[str]
    ) -> list[Value]:
        """Run once with values of any shape; the results are new values."""

    @abstractmethod
    def allocate(self, dtype: np.dtype[Any], shape: Sequence[int]) -> ort.OrtValue:
        """An uninitialised tensor in this device's memory, to be bound and used again."""

    def used(self) -> GpuBytes | None:
        """Device memory that this process takes now; None where it cannot be told."""
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
