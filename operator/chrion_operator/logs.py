"""The log on standard error, in the form and from the level that the settings say."""

import logging
import sys

from chrion_api.logs import JsonFormatter
from chrion_operator.settings import Settings

_TALKATIVE = {"urllib3": logging.ERROR, "leaderelection": logging.WARNING, "asyncio": logging.WARNING}
"""Others' loggers that tell of what we tell ourselves, and their levels where we do not debug."""


def log_to_stderr(settings: Settings) -> None:
    """Write what is logged to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else OneLineFormatter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    if settings.log_level != "debug":
        for name, level in _TALKATIVE.items():
            logging.getLogger(name).setLevel(max(level, logging.getLogger().level))


class OneLineFormatter(logging.Formatter):
    """Time, level, logger and message, on one line whatever stands in the message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802, logging's name
        return "".join(
            letter if letter.isprintable() else ascii(letter)[1:-1] for letter in super().formatMessage(record)
        )
