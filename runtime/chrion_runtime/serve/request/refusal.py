"""What is answered where something is wrong: the status and the sentence of each error."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import orjson

from chrion_runtime.errors import OutOfMemory, ProcessLost, Restarting, RunError, SequencesFull
from chrion_runtime.serve.protocol.errors import (
    DeadlineExceeded,
    ProtocolError,
    Unauthorized,
    Unavailable,
    status_of,
)
from chrion_runtime.serve.telemetry.fields import trace_id

REASONS = {status.value: status.phrase for status in HTTPStatus}
"""What stands behind a status."""

RETRY_SECONDS = 1
"""After which what passes by itself may have: memory had run out, another process is started, sequences are in use."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refusal:
    """An answer that says what is wrong: an object with the one key `error`."""

    status: int
    text: str
    retry_after: int | None = None
    challenge: str = ""
    """What the client shall prove itself by (RFC 9110, section 11.6.1)."""

    @property
    def body(self) -> bytes:
        """The JSON; bytes of a header that are no text, which Python keeps as surrogates, become question marks."""
        return orjson.dumps({"error": self.text.encode(errors="replace").decode()})

    @property
    def headers(self) -> dict[str, str]:
        """What goes with it."""
        found = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return found | ({"WWW-Authenticate": self.challenge} if self.challenge else {})


def refusal(error: Exception, what: str, headers: Mapping[str, str]) -> Refusal:
    """The answer to an error; one that is not the request's fault is logged, with `what` was asked."""
    if isinstance(error, Unavailable):
        return Refusal(error.status, str(error), error.retry_after)
    if isinstance(error, ProcessLost | Restarting | SequencesFull):
        return Refusal(Unavailable.status, str(error), RETRY_SECONDS)
    if isinstance(error, Unauthorized):
        return Refusal(error.status, str(error), challenge="Bearer")
    status = status_of(error) or 500
    if status < 500 or isinstance(error, DeadlineExceeded):
        return Refusal(status, str(error))
    extra = {"request_id": getattr(error, "request_id", None), "trace_id": trace_id(headers)}
    if isinstance(error, OutOfMemory | MemoryError):
        log.warning("%s failed: %s", what, error, extra=extra)
        said = str(error) if isinstance(error, OutOfMemory) else "the server is out of memory: try again later"
        return Refusal(status, said, RETRY_SECONDS)
    if isinstance(error, RunError | ProtocolError):
        log.warning("%s failed: %s", what, error, extra=extra)
        return Refusal(500, str(error))
    log.error("%s failed", what, exc_info=error, extra=extra)
    return Refusal(500, "internal error: see the server's log")
