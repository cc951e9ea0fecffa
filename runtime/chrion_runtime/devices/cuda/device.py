"""An NVIDIA GPU: lanes are CUDA streams, values are OrtValues, crossings go through pinned memory."""

import weakref
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx.helper import tensor_dtype_to_np_dtype
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from chrion_api import DeviceKey, GpuBytes, GpuBytesFrom, Optimization
from chrion_runtime.devices.assignment import RECORD, fallen_back
from chrion_runtime.devices.cuda import memory
from chrion_runtime.devices.cuda.bound import NO_GRAPH, CudaBoundSession, CudaCapturedSession
from chrion_runtime.devices.cuda.capture_gate import GATE
from chrion_runtime.devices.cuda.cudart import Cudart
from chrion_runtime.devices.cuda.driver import Driver
from chrion_runtime.devices.cuda.options import run_options, stage_provider
from chrion_runtime.devices.cuda.probe import PROVIDER, cuda_major, first_use_problem, look, problem
from chrion_runtime.devices.device import BoundSession, Device, options, stoppable
from chrion_runtime.errors import DeviceUnavailable
from chrion_runtime.servable import Array
from chrion_runtime.stop import Stop

LANES = 2
"""Lanes of a GPU. A lane is a set of sessions, each with a stream of its own, and costs nothing until a plan uses it.
Two let one chain of small kernels fill what another leaves idle; more would each hold their stages' weights again."""


class Cuda(Device):
    """One GPU.

    Lanes run in parallel, each by its own sessions. Values stay on the GPU between them, and are complete when another
    lane reads them: a run and a copy return only when their stream has nothing left to do.
    """

    captures = True

    def __init__(self, name: str, index: int) -> None:
        """Raises DeviceUnavailable, with the reason, where the GPU cannot be used."""
        super().__init__(name, name, LANES)
        self._index = index
        if found := problem(look(), index):
            raise DeviceUnavailable(f"{name}: {found}")
        memory.remember(index)
        try:
            # The arena of values; those of sessions have an option of theirs.
            ort_state.set_arena_extend_strategy(ort_state.ArenaExtendStrategy.kSameAsRequested)
            # The one probe that cannot be fooled: a session would silently fall back to the CPU.
            self._first = self.allocate(np.dtype(np.float32), (1,))
            self._cudart = Cudart(cuda_major(), index)
        except Exception as error:  # noqa: BLE001, ONNX Runtime raises many types
            raise DeviceUnavailable(f"{name}: {first_use_problem(error)}") from None
        taken = memory.taken(index)
        self._context = taken[0] if taken else 0
        self._driver = Driver()
        self._shrinks = True
        self._of_graphs: weakref.WeakSet[ort.InferenceSession] = weakref.WeakSet()

    @cached_property
    def key(self) -> DeviceKey:
        return DeviceKey(
            product=self._driver.product(self._index),
            cores=max(1, self._driver.multiprocessors(self._index)),
            onnxruntime=ort.__version__,
            driver=str(self._driver.version),
        )

    @cached_property
    def context_bytes(self) -> int:
        return self._context

    @cached_property
    def total_bytes(self) -> int | None:
        return self._driver.total_bytes(self._index)

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
        found = options(lanes, optimization, spin)
        found.add_session_config_entry(RECORD, "1")
        provider = stage_provider(self._index, capture, limit)
        with GATE.use():
            session = ort.InferenceSession(path, found, providers=[provider], enable_fallback=0)
        if session.get_providers()[0] != PROVIDER:
            raise DeviceUnavailable(f"{self.name}: ONNX Runtime fell back to {session.get_providers()[0]}")
        # A node that CUDA does not take must be an error here, not a hidden copy to the CPU.
        if left := fallen_back(session, path):
            raise DeviceUnavailable(f"{self.name}: ONNX Runtime leaves {', '.join(left)} to the CPU")
        if capture:
            self._of_graphs.add(session)
        return session

    def scope(self, lane: str) -> str:
        return lane

    def put(self, array: Array) -> ort.OrtValue:
        value = self.allocate(array.dtype, array.shape)
        self.write(value, array)
        return value

    def get(self, value: ort.OrtValue) -> Array:
        array = np.empty(value.shape(), tensor_dtype_to_np_dtype(value.element_type()))
        self.read(value, array)
        return array

    def run(
        self,
        session: ort.InferenceSession,
        names: Sequence[str],
        values: Sequence[ort.OrtValue],
        outputs: Sequence[str],
        stop: Stop | None = None,
    ) -> list[ort.OrtValue]:
        binding = session.io_binding()
        for name, value in zip(names, values, strict=True):
            binding.bind_ortvalue_input(name, value)
        for name in outputs:
            binding.bind_output(name, "cuda", self._index)
        # Shapes that nothing was bound for leave no memory behind. A captured run, though, lives on memory that is
        # free in the arena between two of its runs.
        shrink = self._index if self._shrinks and session not in self._of_graphs else None
        with GATE.use():
            try:
                session.run_with_iobinding(binding, stoppable(run_options(NO_GRAPH, shrink), stop))
            except Exception as error:
                # Which allocators can shrink, and what they are called, is checked before the run begins.
                if shrink is None or "shrink" not in str(error):
                    raise
                self._shrinks = False
                session.run_with_iobinding(binding, stoppable(run_options(NO_GRAPH), stop))
        found: list[ort.OrtValue] = binding.get_outputs()
        return found

    def bind(self, session: ort.InferenceSession, capture: bool = False) -> BoundSession:
        return CudaCapturedSession(session) if capture else CudaBoundSession(session)

    def allocate(self, dtype: np.dtype[Any], shape: Sequence[int]) -> ort.OrtValue:
        with GATE.use():
            return ort.OrtValue.ortvalue_from_shape_and_type(list(shape), dtype.type, "cuda", self._index)

    def host(self, dtype: np.dtype[Any], shape: Sequence[int]) -> Array:
        with GATE.use():
            return self._cudart.pinned(dtype, shape)

    def write(self, value: ort.OrtValue, array: Array) -> None:
        source = np.ascontiguousarray(array)
        with GATE.use():
            self._cudart.copy(value.data_ptr(), source.ctypes.data, source.nbytes)

    def read(self, value: ort.OrtValue, array: Array) -> None:
        with GATE.use():
            self._cudart.copy(array.ctypes.data, value.data_ptr(), array.nbytes)

    def copy(self, source: ort.OrtValue, target: ort.OrtValue) -> None:
        with GATE.use():
            self._cudart.copy(target.data_ptr(), source.data_ptr(), source.tensor_size_in_bytes())

    def used(self) -> GpuBytes | None:
        found = memory.taken(self._index)
        if found is None:
            return None
        # What the rest is made of, nobody can tell from outside.
        context = min(self.context_bytes, found[0])
        return GpuBytes(workspace=found[0] - context, context=context)

    @property
    def used_from(self) -> GpuBytesFrom:
        found = memory.taken(self._index)
        return found[1] if found else GpuBytesFrom.PREDICTED

    def free_bytes(self) -> int | None:
        with GATE.use():
            return self._cudart.free_bytes()
