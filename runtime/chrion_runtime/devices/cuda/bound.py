"""Sessions on a GPU that are bound in advance, as they are or as CUDA graphs."""

from itertools import count

import onnxruntime as ort

from chrion_runtime.devices.cuda.capture_gate import GATE
from chrion_runtime.devices.cuda.options import run_options
from chrion_runtime.devices.device import BoundSession, CapturedSession
from chrion_runtime.stop import Stop

NO_GRAPH = -1
"""The graph id (`gpu_graph_id`) of a run that neither captures nor replays."""

_ids = count(1)
"""One for each binding, since sessions are shared by stages alike and by slots; 0 stands for runs that name none."""


class CudaBoundSession(BoundSession):
    """A session that runs kernel by kernel."""

    def run(self, stop: Stop | None = None) -> None:
        with GATE.use():
            super().run(stop)


class CudaCapturedSession(CapturedSession):
    """A session whose kernels are captured in its first run, and launched all at once ever after.

    ONNX Runtime keeps captured runs in the context of the thread that ran (PerThreadContext), and there by id: from
    another thread, it would capture again. One call does the regular runs before a capture, the capture and a replay.
    """

    def __init__(self, session: ort.InferenceSession) -> None:
        super().__init__(session)
        self._options = run_options(next(_ids))

    def run(self, stop: Stop | None = None) -> None:
        with GATE.use() if self.captured else GATE.alone():
            super().run(stop)

    def _launch(self, stop: Stop | None) -> None:
        del stop
        self._session.run_with_iobinding(self._binding, self._options)
