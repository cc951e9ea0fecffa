"""The fields by which a line of the log is found again."""

import re
from collections.abc import Mapping

FIELDS = {"model": "model", "request_id": "requestId", "trace_id": "traceId"}
"""What a record may hold beside its message, and what it is called in JSON."""

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")


def trace_id(headers: Mapping[str, str]) -> str | None:
    """The trace that a request belongs to, by its `traceparent` (https://www.w3.org/TR/trace-context/)."""
    found = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return None if found is None else found[1]
