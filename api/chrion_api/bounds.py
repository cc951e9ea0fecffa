"""Bounds: how deep and how large JSON may be, told before anything is built of it, and what no document may hold."""

import math
import re
from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 64
"""Lists and objects inside each other; what recurses over a document stays far from Python's limit of 1,000."""
MAX_VALUES = 2_000_000
"""Values in a document: Python takes some 80 bytes for each."""

_QUOTED = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
BRACKET = re.compile(rb'[^][{}"]*+(?:' + _QUOTED + rb'[^][{}"]*+)*+([][{}]|\Z)', re.DOTALL)
"""The text up to and with the next bracket that stands in no string, or to its end; never looked at twice."""
_STRING = re.compile(_QUOTED, re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


def excess(text: bytes, max_values: int = MAX_VALUES) -> str:
    """What is too much of a JSON text (UTF-8), such as "is nested deeper than 64 levels"; "" where nothing is.

    Costs no memory beside the text, however it was made.
    """
    if values(text, max_values) > max_values:
        return f"holds more than {max_values:,} values"
    if depth(text) > MAX_DEPTH:
        return f"is nested deeper than {MAX_DEPTH} levels"
    return ""


def depth(text: bytes) -> int:
    """How deep the text nests lists and objects."""
    level = deepest = 0
    for match in BRACKET.finditer(text):
        if match[1] in (b"[", b"{"):
            level += 1
            deepest = max(deepest, level)
        elif match[1]:
            level -= 1
    return deepest


def values(text: bytes, enough: int) -> int:
    """How many values the text holds, the names of fields counted too; exact where it may be over `enough`."""
    most = _separators(text)
    return most if most <= enough else _separators(_STRING.sub(b"", text))


def strange(value: Any, max_values: int = MAX_VALUES) -> tuple[str, str] | None:
    """The path and the fault of what JSON can write and no document may hold; None where there is none.

    That are halves of surrogate pairs, which are not text and cannot be written again; numbers that are not finite; and
    a twentieth of `max_values` in one object, each of whose fields could be wrong and have a sentence of its own.
    """
    path: list[str] = []
    inside: list[Iterator[tuple[str, Any]]] = [iter([("", value)])]
    while inside:
        for name, part in inside[-1]:
            path[len(inside) - 1 :] = [name]
            if problem := _fault(part, max_values // 20):
                return "".join(path).removeprefix("."), problem
            if isinstance(part, dict | list):
                inside.append(_children(part))
                break
        else:
            inside.pop()
    return None


def _separators(text: bytes) -> int:
    return sum(text.count(one) for one in (b",", b":", b"[", b"{")) + 1


def _fault(part: Any, max_members: int) -> str:
    match part:
        case str() if _SURROGATE.search(part):
            return f"{part[:60]!a} contains an unpaired surrogate, which is not text"
        case float() if not math.isfinite(part):
            return "is not a finite number"
        case dict() if len(part) > max_members:
            return f"has more than {max_members:,} fields"
        case dict():
            return next((f"the name {fault}" for name in part if (fault := _fault(name, max_members))), "")
    return ""


def _children(part: dict[Any, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(part, dict):
        return ((f".{name}", inner) for name, inner in part.items())
    return ((f"[{index}]", inner) for index, inner in enumerate(part))
