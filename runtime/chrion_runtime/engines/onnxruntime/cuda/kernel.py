"""Sessions on a GPU as kernels: run kernel by kernel, or as CUDA graphs."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path

import onnxruntime as ort

from chrion_graph.ort import brief
from chrion_runtime.devices.memory import Memory, Tensor
from chrion_runtime.engines.engine import Call, Ports, Site
from chrion_runtime.engines.onnxruntime.assignment import RECORD, fallen_back
from chrion_runtime.engines.onnxruntime.cuda.capture_gate import GATE
from chrion_runtime.engines.onnxruntime.cuda.device import Cuda
from chrion_runtime.engines.onnxruntime.cuda.options import run_options, stage_provider
from chrion_runtime.engines.onnxruntime.cuda.probe import PROVIDER
from chrion_runtime.engines.onnxruntime.failure import run_error
from chrion_runtime.engines.onnxruntime.kernel import CapturedCall, SessionCall
from chrion_runtime.engines.onnxruntime.sessions import stoppable
from chrion_runtime.engines.onnxruntime.tensor import OrtTensor, ort_value
from chrion_runtime.errors import DeviceUnavailable, PlanRefused
from chrion_runtime.stop import Stop

NO_GRAPH = -1
"""The graph id (`gpu_graph_id`) of a run that neither captures nor replays."""

_ids = count(1)
"""One for each binding, since sessions are shared by stages alike and by slots; 0 stands for runs that name none."""


def compile_for_cuda(path: Path, site: Site, options: ort.SessionOptions, captures: bool) -> "CudaKernel":
    """A session of a sub-model's file on a GPU. Raises DeviceUnavailable where ONNX Runtime loads a part elsewhere, and
    PlanRefused where it cannot load it."""
    device = site.device
    assert isinstance(device, Cuda)
    options.add_session_config_entry(RECORD, "1")
    provider = stage_provider(device.index, captures, site.limit)
    try:
        with GATE.use():
            session = ort.InferenceSession(path, options, providers=[provider], enable_fallback=0)
    except Exception as error:  # noqa: BLE001, ONNX Runtime raises many types
        raise PlanRefused(f"{device.name} cannot load a stage; plan again: {brief(error)}") from None
    if session.get_providers()[0] != PROVIDER:
        raise DeviceUnavailable(f"{device.name}: ONNX Runtime fell back to {session.get_providers()[0]}")
    # A node that CUDA does not take must be an error here, not a hidden copy to the CPU.
    if left := fallen_back(session, path):
        raise DeviceUnavailable(f"{device.name}: ONNX Runtime leaves {', '.join(left)} to the CPU")
    return CudaKernel(session, device.memory, device.index, captures)


class CudaKernel:
    """A session on a GPU."""

    def __init__(self, session: ort.InferenceSession, memory: Memory, index: int, captures: bool) -> None:
        self.session = session
        self._memory = memory
        self._index = index
        self.captures = captures
        self._shrinks = True

    def run(self, ports: Ports, reads: Sequence[Tensor], stop: Stop | None = None) -> Sequence[Tensor]:
        """See `Kernel`. Raises RunError."""
        binding = self.session.io_binding()
        for name, tensor in zip(ports.reads, reads, strict=True):
            binding.bind_ortvalue_input(name, ort_value(tensor))
        for name in ports.writes:
            binding.bind_output(name, "cuda", self._index)
        try:
            self._run(binding, stop)
        except Exception as error:  # noqa: BLE001, ONNX Runtime raises many types
            raise run_error(error.with_traceback(None), gpu=True) from None
        return [OrtTensor(value) for value in binding.get_outputs()]

    def _run(self, binding: ort.IOBinding, stop: Stop | None) -> None:
        # Shapes that nothing was bound for leave no memory behind. A captured run, though, lives on memory that is
        # free in the arena between two of its runs.
        shrink = self._index if self._shrinks and not self.captures else None
        with GATE.use():
            try:
                self.session.run_with_iobinding(binding, stoppable(run_options(NO_GRAPH, shrink), stop))
            except Exception as error:
                # Which allocators can shrink, and what they are called, is checked before the run begins.
                if shrink is None or "shrink" not in str(error):
                    raise
                self._shrinks = False
                self.session.run_with_iobinding(binding, stoppable(run_options(NO_GRAPH), stop))

    def bind(self, ports: Ports, reads: Sequence[Tensor], writes: Sequence[Tensor]) -> Call:
        kind = CapturedCudaCall if self.captures else CudaCall
        return kind(self.session, self._memory, ports, reads, writes)


class CudaCall(SessionCall):
    """A call that runs kernel by kernel."""

    def __call__(self, stop: Stop | None = None) -> None:
        """See `Call`. Raises RunError."""
        with GATE.use():
            super().__call__(stop)


class CapturedCudaCall(CapturedCall):
    """A call whose kernels are captured in its first run, and launched all at once ever after.

    ONNX Runtime keeps captured runs in the context of the thread that ran (PerThreadContext), and there by id: from
    another thread, it would capture again. One call does the regular runs before a capture, the capture and a replay.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        memory: Memory,
        ports: Ports,
        reads: Sequence[Tensor],
        writes: Sequence[Tensor],
    ) -> None:
        super().__init__(session, memory, ports, reads, writes)
        self._options = run_options(next(_ids))

    def __call__(self, stop: Stop | None = None) -> None:
        with GATE.use() if self.captured else GATE.alone():
            super().__call__(stop)

    def _launch(self, stop: Stop | None) -> None:
        del stop
        self._session.run_with_iobinding(self._binding, self._options)
