"""The log on standard error, in the form and from the level that the settings say."""

import json
import logging
import sys
from datetime import UTC, datetime

from chrion_operator.settings import Settings

_TALKATIVE = {"urllib3": logging.ERROR, "leaderelection": logging.WARNING, "asyncio": logging.WARNING}
"""Others' loggers that tell of what we tell ourselves, and their levels where we do not debug."""


def log_to_stderr(settings: Settings) -> None:
    """Write what is logged to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    if settings.log_level != "debug":
        for name, level in _TALKATIVE.items():
            logging.getLogger(name).setLevel(max(level, logging.getLogger().level))


class TextFormatter(logging.Formatter):
    """Time, level, logger and message, on one line whatever stands in the message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802, logging's name
        return "".join(
            letter if letter.isprintable() else ascii(letter)[1:-1] for letter in super().formatMessage(record)
        )


class JsonFormatter(logging.Formatter):
    """One object a line, as the runtime logs: time, level, logger and message, and the error where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            stack = self.formatException(record.exc_info)
            line["error"] = {"type": type(error).__name__, "message": str(error), "stack": stack}
        return json.dumps(line)
