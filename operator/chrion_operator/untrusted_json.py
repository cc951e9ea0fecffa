"""JSON that pods and people write into annotations and last messages, which may hold anything."""

import json
import math
from typing import Any

from chrion_operator.names import Object


def said(text: str) -> Object:
    """The JSON object that a text holds; empty where it holds none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def whole(value: Any, least: int, most: int) -> int | None:
    """The whole part of a number, between two bounds; None for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and math.isnan(value):
        return None
    return int(max(least, min(most, value)))


def text(value: Any, longest: int) -> str | None:
    """A text, cut where it is too long; None for what is none."""
    return value[:longest] if isinstance(value, str) else None
