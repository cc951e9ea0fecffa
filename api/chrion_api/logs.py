"""A log for machines: one JSON object a line."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime


class JsonFormatter(logging.Formatter):
    """Time, level, logger and message of an entry, its fields, and the error where there is one."""

    def fields(self, record: logging.LogRecord) -> Mapping[str, str]:
        """What else is known of an entry."""
        del record
        return {}

    def format(self, record: logging.LogRecord) -> str:
        """The entry as JSON, on one line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self.fields(record),
        }
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            stack = self.formatException(record.exc_info)
            line["error"] = {"type": type(error).__name__, "message": str(error), "stack": stack}
        return json.dumps(line)
