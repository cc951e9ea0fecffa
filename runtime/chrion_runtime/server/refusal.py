"""What is answered where something is wrong: the status and the sentence of each error."""

import logging
from dataclasses import dataclass
from http import HTTPStatus

import orjson

from chrion_runtime.errors import RunError
from chrion_runtime.protocol.errors import ProtocolError, Unavailable

REASONS = {status.value: status.phrase for status in HTTPStatus}
"""What stands behind a status."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refusal:
    """An answer that says what is wrong: an object with the one key `error`."""

    status: int
    text: str
    retry_after: int | None = None

    @property
    def body(self) -> bytes:
        """The JSON."""
        return orjson.dumps({"error": self.text})

    @property
    def headers(self) -> dict[str, str]:
        """What goes with it."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


def refusal(error: Exception, what: str) -> Refusal:
    """The answer to an error; one that should not have been is logged, with `what` was asked."""
    if isinstance(error, ProtocolError):
        return Refusal(error.status, str(error), error.retry_after if isinstance(error, Unavailable) else None)
    if isinstance(error, RunError):
        return Refusal(500, str(error))
    log.error("%s failed", what, exc_info=error)
    return Refusal(500, "internal error: the server's log says more")
