"""Keep everything else of this process off CUDA while a run is captured."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class CaptureGate:
    """Many may use CUDA at once, or one alone.

    ONNX Runtime captures in `cudaStreamCaptureModeGlobal`: until the capture ends, calls of any other thread that may
    wait or allocate (`cudaMalloc`, `cudaStreamSynchronize`) fail, and spoil the capture. Neither block may be entered
    inside the other, nor inside itself.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._users = 0
        self._taken = False

    @contextmanager
    def use(self) -> Iterator[None]:
        """Use CUDA beside others."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken)
            self._users += 1
        try:
            yield
        finally:
            with self._changed:
                self._users -= 1
                if not self._users:
                    self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Use CUDA while nobody else does."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken)
            self._taken = True  # from now on nobody enters; those inside leave
            self._changed.wait_for(lambda: not self._users)
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()


GATE = CaptureGate()
"""The only one: a capture concerns every thread and every GPU of the process."""
