"""The head of a plain inference request: what nearly all clients send, read without a general parser.

Only what is beyond doubt is taken: one whole head in its usual form, with a length and nothing that changes how the
message is framed or the connection goes on. Anything else, well formed or not, is for aiohttp to judge.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

_LINE = re.compile(rb"POST /v2/models/([\w.~-]+)(?:/versions/([\w.~-]+))?/infer HTTP/1\.1\r\n")
_FIELD = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_MOST_HEAD = 8190
"""As aiohttp has it."""
_MOST_FIELDS = 128
"""The same."""
_MOST_DIGITS = 15
_FRAMING = frozenset({"transfer-encoding", "expect", "upgrade", "te", "trailer"})


@dataclass(frozen=True)
class PlainHead:
    """Which model is asked, and with what headers."""

    model: str
    version: str | None
    headers: Mapping[str, str] = field(repr=False)
    """By name in small letters; none comes twice."""
    length: int
    """Bytes of the body."""
    end: int
    """Where the body begins."""


def plain_head(data: bytes) -> PlainHead | None:
    """The head at the start of `data`; None where it is not plain, or not all there."""
    if not data.startswith(b"POST "):
        return None
    end = data.find(b"\r\n\r\n", 0, _MOST_HEAD)
    return None if end < 0 else _read(data[: end + 4])


@lru_cache(maxsize=1024)
def _read(head: bytes) -> PlainHead | None:
    """Kept, for a client's heads seldom differ from one request to the next."""
    line = _LINE.match(head)
    if line is None:
        return None
    headers: dict[str, str] = {}
    fields = head[line.end() : -4].decode("latin-1").split("\r\n")
    if len(fields) > _MOST_FIELDS:
        return None
    for text in fields:
        field = _FIELD.fullmatch(text)
        if field is None:
            return None
        name = field[1].lower()
        if name in headers or name in _FRAMING:
            return None
        headers[name] = field[2].rstrip(" \t")
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal() and len(length) <= _MOST_DIGITS):
        return None
    if "host" not in headers or headers.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    version = line[2]
    return PlainHead(
        line[1].decode("ascii"), None if version is None else version.decode("ascii"), headers, int(length), len(head)
    )


def is_plain_get(data: bytes) -> bool:
    """Whether `data` is one whole GET request without a body."""
    if not data.startswith(b"GET ") or data.find(b"\r\n\r\n") != len(data) - 4:
        return False
    small = data.lower()
    return not any(name.encode() + b":" in small for name in (*_FRAMING, "content-length", "connection"))
