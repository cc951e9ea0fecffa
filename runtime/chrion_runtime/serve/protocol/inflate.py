"""Compressed request bodies, never inflated beyond the limit."""

import zlib

from chrion_runtime.serve.protocol.errors import BadRequest, TooLarge, UnsupportedEncoding

Buffer = bytes | bytearray | memoryview

_GZIP = b"\x1f\x8b"
"""What each member of a gzip body begins with (RFC 1952, section 2.2): pigz and bgzip write several."""
_MOST_MEMBERS = 4096
"""Each takes its time, however little is in it."""
_BLOCK = 64 * 1024
"""Bytes, as bgzip has them in a member at most."""
_WINDOW = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


def inflate(body: Buffer, encoding: str, limit: int) -> Buffer:
    """The body behind a Content-Encoding; `limit` in bytes holds for what comes out.

    Raises UnsupportedEncoding, TooLarge, or BadRequest when the bytes are not of that encoding.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in _WINDOW:
        raise UnsupportedEncoding(f'Content-Encoding "{encoding[:40]}" is not supported: use gzip, deflate or none')
    parts: list[bytes] = []
    left, rest = limit + 1, memoryview(body)
    for _ in range(_MOST_MEMBERS if name == "gzip" else 1):
        part, taken = _member(rest, name, left, limit, whole=not parts)
        parts.append(part)
        left -= len(part)
        rest = rest[taken:]
        if not rest:
            return parts[0] if len(parts) == 1 else b"".join(parts)
        if bytes(rest[:2]) != _GZIP:
            break
    raise BadRequest(f"{len(rest)} bytes are left over after the {name} body")


def _member(body: memoryview, name: str, most: int, limit: int, whole: bool) -> tuple[bytes, int]:
    """The plain bytes, fewer than `most`, that the body begins with, and how many of its own those took.

    Raises TooLarge, which names the `limit` of the whole, and BadRequest.

    What follows is copied each time that zlib ends before it: so it is given all at once only if `whole`.
    """
    stream = zlib.decompressobj(_WINDOW[name])
    parts: list[bytes] = []
    step = len(body) if whole else _BLOCK
    taken = 0
    while not stream.eof and taken < len(body):
        block = body[taken : taken + step]
        try:
            part = stream.decompress(block, most)
        except zlib.error:
            raise BadRequest(f"the body is not valid {name}, which its Content-Encoding says it is") from None
        parts.append(part)
        taken += len(block)
        most -= len(part)
        if most <= 0:
            raise TooLarge(limit)
    if not stream.eof:
        raise BadRequest(f"the {name} body is cut short")
    return (parts[0] if len(parts) == 1 else b"".join(parts)), taken - len(stream.unused_data)
