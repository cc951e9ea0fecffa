"""A session as a kernel: run with values of any shape, or bound to some in advance."""

import threading
from collections.abc import Sequence

import numpy as np
import onnxruntime as ort

from chrion_runtime.devices.memory import Memory, Tensor
from chrion_runtime.engines.engine import Call, Ports
from chrion_runtime.engines.onnxruntime.failure import run_error
from chrion_runtime.engines.onnxruntime.sessions import stoppable
from chrion_runtime.engines.onnxruntime.tensor import ort_value
from chrion_runtime.servable import Array
from chrion_runtime.stop import Stop


class SessionKernel:
    """A session that computes in memory which the host addresses."""

    def __init__(self, session: ort.InferenceSession, memory: Memory, captures: bool) -> None:
        """`captures` says that a call runs on the thread of its first run alone, with the same tensors."""
        self.session = session
        self._memory = memory
        self._on_host = memory.on_host
        self.captures = captures

    def run(self, ports: Ports, reads: Sequence[Tensor], stop: Stop | None = None) -> Sequence[Tensor]:
        """See `Kernel`. Raises RunError."""
        options = None if stop is None else stoppable(ort.RunOptions(), stop)
        feeds = dict(zip(ports.reads, map(np.asarray, reads), strict=True))
        try:
            found: list[Array] = self.session.run(ports.writes, feeds, options)
        except Exception as error:  # noqa: BLE001, ONNX Runtime raises many types
            raise run_error(error.with_traceback(None), gpu=not self._on_host) from None
        return found if self._on_host else [self._memory.adopt(array) for array in found]

    def bind(self, ports: Ports, reads: Sequence[Tensor], writes: Sequence[Tensor]) -> Call:
        kind = CapturedCall if self.captures else SessionCall
        return kind(self.session, self._memory, ports, reads, writes)


class SessionCall:
    """A session, bound to the tensors that it reads and writes."""

    def __init__(
        self,
        session: ort.InferenceSession,
        memory: Memory,
        ports: Ports,
        reads: Sequence[Tensor],
        writes: Sequence[Tensor],
    ) -> None:
        self._session = session
        self._memory = memory
        self._ports = ports
        self._binding = session.io_binding()
        for place, tensor in enumerate(reads):
            self._binding.bind_ortvalue_input(ports.reads[place], ort_value(tensor))
        for place, tensor in enumerate(writes):
            self._binding.bind_ortvalue_output(ports.writes[place], ort_value(tensor))

    def read(self, place: int, tensor: Tensor) -> None:
        self._binding.bind_ortvalue_input(self._ports.reads[place], ort_value(tensor))

    def write(self, place: int, tensor: Tensor) -> None:
        self._binding.bind_ortvalue_output(self._ports.writes[place], ort_value(tensor))

    def __call__(self, stop: Stop | None = None) -> None:
        """See `Call`. Raises RunError."""
        try:
            self._launch(stop)
        except Exception as error:  # noqa: BLE001, ONNX Runtime raises many types
            raise run_error(error.with_traceback(None), gpu=not self._memory.on_host) from None

    def _launch(self, stop: Stop | None) -> None:
        options = None if stop is None else stoppable(ort.RunOptions(), stop)
        self._session.run_with_iobinding(self._binding, options)


class CapturedCall(SessionCall):
    """A call whose first run is captured and then replayed: on the same thread, with the same tensors, always.

    Where either changed, a replay would go wrong without a word, so that here it is an error.
    """

    _owner: int | None = None

    @property
    def captured(self) -> bool:
        """Whether there was a first run, and it went well."""
        return self._owner is not None

    def read(self, place: int, tensor: Tensor) -> None:
        """See `Call`. Raises RuntimeError once it is captured."""
        self._refuse_rebinding()
        super().read(place, tensor)

    def write(self, place: int, tensor: Tensor) -> None:
        """See `Call`. Raises RuntimeError once it is captured."""
        self._refuse_rebinding()
        super().write(place, tensor)

    def __call__(self, stop: Stop | None = None) -> None:
        """See `Call`. Raises RunError, and RuntimeError on another thread than that of the first run."""
        here = threading.get_ident()
        if self._owner not in (None, here):
            raise RuntimeError("a captured stage runs on the thread that captured it")
        del stop  # it is launched as a whole
        super().__call__(None)
        self._owner = here

    def _refuse_rebinding(self) -> None:
        if self.captured:
            raise RuntimeError("a captured stage reads and writes where it did when it was captured")
