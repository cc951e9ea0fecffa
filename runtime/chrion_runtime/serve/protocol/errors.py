"""What the inference protocol refuses, each with the HTTP status that says so.

RuntimeFailure
└── ProtocolError               500  anything below
    ├── BadRequest              400  the request is not well formed or does not fit the model
    ├── Unauthorized            401  no valid token
    ├── NotFound                404  no such model or version
    ├── TooSlow                 408  the body did not come in time
    ├── NotRead                 408  an answer on a stream was not read in time
    ├── TooLarge                413  the body is over the limit
    ├── TooMuchToAnswer         413  an answer that takes more memory than all answers may
    ├── TooCostly               413  reading the JSON, or writing it, would take too much memory
    ├── UnsupportedEncoding     415  a Content-Encoding that is neither gzip nor deflate
    ├── AnswerFailed            500  the model's answer has no form in the protocol
    ├── DeadlineExceeded        504  the request's time was up, and its run was stopped
    └── Unavailable             503  not now
        ├── QueueFull                too many requests wait already
        ├── AnswersFull              answers that are on their way hold as many bytes as they may
        ├── TooLate                  the answer would come after the request's deadline
        ├── Waited                   large JSON waited to be read for longer than the objective allows
        ├── TooMuch                  requests in flight hold as many bytes as they may
        ├── CodecLost                the process that reads and writes large JSON ended
        ├── ShuttingDown             the server is on its way out
        └── Stuck                    a run that was told to end does not, and holds the model

`STATUSES` has the statuses of the runtime's own errors.
"""

from math import ceil
from typing import ClassVar

from chrion_runtime.errors import (
    OutOfMemory,
    OverMemory,
    ProcessLost,
    Restarting,
    RuntimeFailure,
    SequenceLost,
    SequenceMismatch,
    SequencesFull,
    TooMuchToKeep,
    UnfitValues,
)

STATUSES: dict[type[Exception], int] = {
    SequenceMismatch: 400,
    UnfitValues: 400,
    SequenceLost: 409,
    OverMemory: 413,
    TooMuchToKeep: 413,
    MemoryError: 503,
    OutOfMemory: 503,
    ProcessLost: 503,
    Restarting: 503,
    SequencesFull: 503,
}
"""The HTTP status of what running a model may raise; of anything else it is 500."""


class ProtocolError(RuntimeFailure):
    """An error that has an HTTP status."""

    status: ClassVar[int] = 500


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error is answered with; None where nobody is there to hear it."""
    if isinstance(error, ProtocolError):
        return error.status
    if isinstance(error, ConnectionError) or not isinstance(error, Exception):
        return None  # the client has gone; handlers are cancelled then
    return next((status for kind, status in STATUSES.items() if isinstance(error, kind)), 500)


class BadRequest(ProtocolError):
    """A request that is not well formed or does not fit the model."""

    status = 400


class Unauthorized(ProtocolError):
    """A request without a valid token."""

    status = 401

    def __init__(self) -> None:
        super().__init__("a valid token is required: send it as Authorization: Bearer TOKEN")


class NotFound(ProtocolError):
    """A model or version that is not served here."""

    status = 404


class TooLarge(ProtocolError):
    """A body over the limit."""

    status = 413

    def __init__(self, limit: int, option: str = "--max-body") -> None:
        """`option` is what raises the limit; empty where nothing does."""
        more = f" or raise it with {option}" if option else ""
        super().__init__(f"the request body exceeds the limit of {limit} bytes: send less{more}")


class TooMuchToAnswer(ProtocolError):
    """An answer that takes more memory than all answers on their way may together."""

    status = 413


class TooCostly(ProtocolError):
    """JSON that is within the limit, and would take too much memory to read or to write."""

    status = 413


class TooSlow(ProtocolError):
    """A body that did not come in time."""

    status = 408

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the request body did not arrive within {seconds:g} s: send it faster or raise --read-timeout"
        )


class NotRead(ProtocolError):
    """An answer that its client does not read."""

    status = 408

    def __init__(self, seconds: float) -> None:
        super().__init__(f"an answer was not read within {seconds:g} s")


class UnsupportedEncoding(ProtocolError):
    """A Content-Encoding that is neither gzip nor deflate."""

    status = 415


class AnswerFailed(ProtocolError):
    """An answer of the model that has no form in the protocol."""


class DeadlineExceeded(ProtocolError):
    """A request whose time was up before it was answered; its run, where it had begun, is stopped."""

    status = 504

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"not answered within {seconds * 1e3:.0f} ms, the limit for this request: send less or allow more time"
        )


class Unavailable(ProtocolError):
    """The server cannot take the request now."""

    status = 503
    retry_after: int | None = None
    """Seconds after which trying again is worthwhile; None where another replica should be asked."""


class QueueFull(Unavailable):
    """Too many requests wait for the model already."""

    retry_after = 1


class TooLate(Unavailable):
    """The answer would come after the request's deadline."""

    def __init__(self, model: str, expected: float, left: float, hurried: bool = False) -> None:
        super().__init__(
            f'model "{model}" would answer in {expected * 1e3:.1f} ms, but the request allows only '
            f"{max(0.0, left) * 1e3:.1f} ms: try again later or allow more time"
        )
        self.retry_after = max(1, ceil(expected))
        self.hurried = hurried
        """Whether the client allows less than the model's objective does."""


class Waited(Unavailable):
    """A request's large JSON waited to be read for as long as the model's objective allows."""

    retry_after = 1

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the JSON waited {seconds * 1e3:.1f} ms to be read, as long as the model's objective: try again later, or "
            "send binary tensors"
        )


class TooMuch(Unavailable):
    """Requests in flight hold as many bytes as they may."""

    retry_after = 1

    def __init__(self, limit: int) -> None:
        super().__init__(f"the requests in flight hold {limit} bytes, the limit: try again later")


class CodecLost(Unavailable):
    """The process that reads and writes large JSON ended over this request, twice."""

    retry_after = 1

    def __init__(self) -> None:
        super().__init__("the process that reads and writes large JSON crashed: try again, or send binary tensors")


class AnswersFull(Unavailable):
    """Answers that are on their way hold as many bytes as they may."""

    retry_after = 1


class ShuttingDown(Unavailable):
    """The server is on its way out."""

    def __init__(self) -> None:
        super().__init__("the server is shutting down: ask another replica")


class Stuck(Unavailable):
    """A run that was told to end has not, and holds the lanes of its model."""

    def __init__(self, model: str, seconds: float) -> None:
        super().__init__(
            f'model "{model}" is held by a run that was told to stop {seconds:.0f} s ago and has not: '
            "ask another replica"
        )
