"""What the inference protocol refuses, each with the HTTP status that says so.

RuntimeFailure
└── ProtocolError               500  anything below
    ├── BadRequest              400  the request is not well formed or does not fit the model
    ├── NotFound                404  no such model or version
    ├── TooSlow                 408  the body did not come in time
    ├── SequenceLost            409  a request of a sequence whose state is not here
    ├── TooLarge                413  the body is over the limit
    ├── TooMuchToKeep           413  state that takes more memory than all states may
    ├── TooMuchToAnswer         413  an answer that takes more memory than all answers may
    ├── TooCostly               413  reading the JSON, or writing it, would take too much memory
    ├── UnsupportedEncoding     415  a Content-Encoding that is neither gzip nor deflate
    ├── AnswerFailed            500  the model's answer has no form in the protocol
    ├── DeadlineExceeded        504  the request's time was up, and its run was stopped
    └── Unavailable             503  not now
        ├── QueueFull                too many requests wait already
        ├── SequencesFull            every sequence that may be kept is in use, or all that states may take
        ├── AnswersFull              answers that are on their way hold as many bytes as they may
        ├── TooLate                  the answer would come after the request's deadline
        ├── Waited                   large JSON waited to be read for longer than the objective allows
        ├── TooMuch                  requests in flight hold as many bytes as they may
        ├── CodecLost                the process that reads and writes large JSON ended
        ├── ShuttingDown             the server is on its way out
        ├── Stuck                    a run that was told to end does not, and holds the model
        ├── ProcessLost              the process of the model's group ended over this request
        └── Restarting               there is none now: another is being started
"""

from math import ceil
from typing import ClassVar

from chrion_runtime.errors import OutOfMemory, OverMemory, RuntimeFailure, UnfitValues


class ProtocolError(RuntimeFailure):
    """An error that has an HTTP status."""

    status: ClassVar[int] = 500


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error is answered with; None where nobody is there to hear it."""
    if isinstance(error, ProtocolError):
        return error.status
    if isinstance(error, ConnectionError) or not isinstance(error, Exception):
        return None  # the client has gone; handlers are cancelled then
    if isinstance(error, OutOfMemory | MemoryError):
        return Unavailable.status
    if isinstance(error, OverMemory):
        return TooLarge.status
    return 400 if isinstance(error, UnfitValues) else 500


class BadRequest(ProtocolError):
    """A request that is not well formed or does not fit the model."""

    status = 400


class NotFound(ProtocolError):
    """A model or version that is not served here."""

    status = 404


class SequenceLost(ProtocolError):
    """A request of a sequence whose state is not here: never begun, ended, given up, or at another replica."""

    status = 409


class TooLarge(ProtocolError):
    """A body over the limit."""

    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request body is over the limit of {limit} bytes: send less or raise the limit")


class TooMuchToKeep(ProtocolError):
    """State that takes more memory than the states of all sequences may together."""

    status = 413


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
        super().__init__(f"the request body did not come within {seconds:g} s: send it faster or raise the limit")


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
            f"not answered within {seconds * 1e3:.0f} ms, which is all that the request may take: send less or allow "
            "more"
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
            f'model "{model}" would answer in {expected * 1e3:.1f} ms, and the request allows '
            f"{max(0.0, left) * 1e3:.1f} ms: try again later or allow more"
        )
        self.retry_after = max(1, ceil(expected))
        self.hurried = hurried
        """Whether the client allows less than the model's objective does."""


class Waited(Unavailable):
    """A request's large JSON waited to be read for as long as the model's objective allows."""

    retry_after = 1

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the JSON has waited to be read for {seconds * 1e3:.1f} ms, the model's objective: try again later, or "
            "send binary tensors"
        )


class TooMuch(Unavailable):
    """Requests in flight hold as many bytes as they may."""

    retry_after = 1

    def __init__(self, limit: int) -> None:
        super().__init__(f"the requests in flight hold {limit} bytes, which is the limit: try again later")


class CodecLost(Unavailable):
    """The process that reads and writes large JSON ended over this request, twice."""

    retry_after = 1

    def __init__(self) -> None:
        super().__init__("the process that reads and writes large JSON ended: try again, or send binary tensors")


class SequencesFull(QueueFull):
    """Every sequence that may be kept has a request under way, or those that have hold all that states may take."""


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
            f'model "{model}" is held by a run that was told to end {seconds:.0f} s ago and has not: '
            "ask another replica"
        )


class ProcessLost(Unavailable):
    """The process of the model's group ended while this request ran, which may or may not have been its fault."""

    retry_after = 1

    def __init__(self, model: str, outcome: str) -> None:
        super().__init__(f'the process of model "{model}" ended while this request ran ({outcome}): try again')


class Restarting(Unavailable):
    """The model's process has ended, and another one is being started."""

    retry_after = 1

    def __init__(self, model: str) -> None:
        super().__init__(f'the process of model "{model}" is being started again: try again')
