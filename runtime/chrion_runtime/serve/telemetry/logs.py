"""The log on standard error: lines for people, or one JSON object a line for machines."""

import json
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

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
    handler.setFormatter(JsonFormatter() if form is LogFormat.JSON else TextFormatter())
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


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger and message; model, requestId, traceId and error where they are known."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            line["error"] = {
                "type": type(error).__name__,
                "message": str(error),
                "stack": self.formatException(record.exc_info),
            }
        return json.dumps(line, default=str)


def _fields(record: logging.LogRecord) -> dict[str, str]:
    found = {name: getattr(record, field, None) for field, name in FIELDS.items()}
    return {name: str(value)[:200] for name, value in found.items() if value is not None}


def _number(level: LogLevel) -> int:
    return logging.getLevelNamesMapping()[level.upper()]
