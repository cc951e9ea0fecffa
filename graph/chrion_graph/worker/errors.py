"""What can become of work in a worker process.

ChrionError
└── WorkerError             anything below
    ├── WorkerFailed        the function raised what is no ChrionError
    ├── WorkerOutOfMemory   it needed more memory than the process may take
    ├── WorkerTimeout       it took too long, and its process was ended
    └── WorkerDied          the process ended by itself
        └── WorkerKilled    or was killed, which the kernel does where memory runs out
"""

from chrion_api import ChrionError


class WorkerError(ChrionError):
    """What became of work in a worker process."""


class WorkerFailed(WorkerError):
    """The function raised something that is no ChrionError: a defect of ours or of a library."""


class WorkerOutOfMemory(WorkerError):
    """The function needed more memory than its process may take; the process lives on."""

    def __init__(self, what: str, detail: str) -> None:
        """`what` was being done; `detail` is what the allocator said."""
        super().__init__(what, detail)
        self.what, self.detail = what, detail

    def __str__(self) -> str:
        return f"{self.what} needs more memory than the limit allows ({self.detail})"


class WorkerTimeout(WorkerError):
    """The function did not finish in time, and its process was ended."""


class WorkerDied(WorkerError):
    """The process ended while the function ran."""


class WorkerKilled(WorkerDied):
    """It was killed, most likely by the kernel, for memory."""
