"""The log on standard error: lines for people, or one JSON object a line for machines."""

import logging
import sys
from enum import StrEnum

from chrion_api.logs import JsonFormatter
from chrion_runtime.serve.telemetry.fields import FIELDS


class LogFormat(StrEnum):
    """How lines of the log look."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """From what severity on something is logged; at debug every request is."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def configure(form: LogFormat = LogFormat.TEXT, level: LogLevel = LogLevel.INFO) -> None:
    """Have what is logged written to standard error from now on. Other people's debug lines are left out."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RequestJsonFormatter() if form is LogFormat.JSON else TextFormatter())
    logging.basicConfig(level=max(logging.INFO, _number(level)), handlers=[handler], force=True)
    for name in ("chrion", "chrion_runtime", "chrion_planner", "chrion_graph"):
        logging.getLogger(name).setLevel(_number(level))


class TextFormatter(logging.Formatter):
    """Time, level, logger, message; behind it the fields that there are."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802, logging's name
        found = _fields(record)
        tail = "".join(f" {name}={value}" for name, value in found.items() if name != "model")
        return super().formatMessage(record) + tail


class RequestJsonFormatter(JsonFormatter):
    """One object a line: model, requestId and traceId are fields of it where they are known."""

    def fields(self, record: logging.LogRecord) -> dict[str, str]:
        """Those of FIELDS that the entry has."""
        return _fields(record)


def _fields(record: logging.LogRecord) -> dict[str, str]:
    found = {name: getattr(record, field, None) for field, name in FIELDS.items()}
    return {name: str(value)[:200] for name, value in found.items() if value is not None}


def _number(level: LogLevel) -> int:
    return logging.getLevelNamesMapping()[level.upper()]
