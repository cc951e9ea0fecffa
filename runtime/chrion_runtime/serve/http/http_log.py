"""What aiohttp says of bytes that are no HTTP, and of clients that leave: one quiet line, for anybody can do either."""

import logging

from aiohttp.http_exceptions import HttpProcessingError

http_log = logging.getLogger(__name__.rpartition(".")[0])
"""The logger for aiohttp's connections."""


def _quiet(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.levelno, record.levelname = logging.INFO, "INFO"
        record.msg, record.args = "rejected a request that is not HTTP: %r", (error.message[:200],)
        record.exc_info = None
    elif isinstance(error, ConnectionError):
        record.levelno, record.levelname = logging.INFO, "INFO"
        record.msg, record.args = "a client disconnected before it was answered", ()
        record.exc_info = None
    return True


http_log.addFilter(_quiet)
