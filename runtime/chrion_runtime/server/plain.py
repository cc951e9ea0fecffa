"""The head of a plain inference request: what nearly all clients send, read without a general parser.

Only what is beyond doubt is taken: one whole head in its usual form, with a length and nothing that changes how the
message is framed or the connection goes on. Anything else, well formed or not, is for aiohttp to judge.
"""

import re
from dataclasses import dataclass

_LINE = re.compile(rb"POST /v2/models/([\w.~-]+)(?:/versions/([\w.~-]+))?/infer HTTP/1\.1\r\n")
_FIELD = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_MOST_HEAD = 8190
"""As aiohttp has it."""
_MOST_DIGITS = 15
_FRAMING = frozenset({"transfer-encoding", "expect", "upgrade", "te", "trailer"})


@dataclass(frozen=True)
class PlainHead:
    """Which model is asked, and with what headers."""

    model: str
    version: str | None
    headers: dict[str, str]
    """By name in small letters; none comes twice."""
    length: int
    """Bytes of the body."""
    end: int
    """Where the body begins."""


def plain_head(data: bytes) -> PlainHead | None:
    """The head at the start of `data`; None where it is not plain, or not all there."""
    line = _LINE.match(data)
    if line is None:
        return None
    end = data.find(b"\r\n\r\n", line.end() - 2, _MOST_HEAD)
    if end < line.end():
        return None
    headers: dict[str, str] = {}
    for text in data[line.end() : end].decode("latin-1").split("\r\n"):
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
        line[1].decode("ascii"), None if version is None else version.decode("ascii"), headers, int(length), end + 4
    )


def is_plain_get(data: bytes) -> bool:
    """Whether `data` is one whole GET request without a body."""
    if not data.startswith(b"GET ") or data.find(b"\r\n\r\n") != len(data) - 4:
        return False
    small = data.lower()
    return not any(name.encode() + b":" in small for name in (*_FRAMING, "content-length", "connection"))
