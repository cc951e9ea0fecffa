"""Work on models in a process of its own: where a damaged or hungry model ends it, that is a ModelError."""

from collections.abc import Callable
from typing import Any, TypeVar

from chrion_graph.errors import InvalidModel, LimitExceeded
from chrion_graph.worker import Worker, WorkerDied, WorkerKilled, WorkerOutOfMemory, WorkerTimeout

T = TypeVar("T")


class ModelWorker(Worker):
    """A worker that is given models."""

    def call(
        self,
        function: Callable[..., T],
        *arguments: Any,
        seconds: float,
        what: str,
        report: Callable[[Any], None] | None = None,
    ) -> T:
        """As `Worker.call`.

        Raises LimitExceeded after `seconds` or out of memory; InvalidModel where the child dies, WorkerFailed where the
        function raises anything but a ChrionError, and the function's own ChrionErrors.
        """
        try:
            return super().call(function, *arguments, seconds=seconds, what=what, report=report)
        except WorkerTimeout as error:
            raise LimitExceeded(f"{error}; raise --max-seconds") from None
        except WorkerOutOfMemory as error:
            raise LimitExceeded(
                f"{error.what} needs more memory than the limit allows; raise --max-memory ({error.detail})"
            ) from None
        except WorkerKilled as error:
            raise LimitExceeded(f"{error}, most likely because memory ran out") from None
        except WorkerDied as error:
            raise InvalidModel(
                f"{error}; the model is damaged, needs more memory than the limit allows or triggers a bug in ONNX "
                "Runtime"
            ) from None


def isolated(function: Callable[..., T], *arguments: Any, memory_bytes: int | None, seconds: float, what: str) -> T:
    """Run one function in a process of its own; see `ModelWorker.call` for the errors."""
    with ModelWorker(memory_bytes) as worker:
        return worker.call(function, *arguments, seconds=seconds, what=what)
