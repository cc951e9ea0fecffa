"""Canonical: one text and one digest for one value, however it was written."""

import hashlib
import json
from typing import Any


def compact(value: Any) -> str:
    """The value as JSON without spaces, its fields in the order of their names."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(compact(value).encode()).hexdigest()
