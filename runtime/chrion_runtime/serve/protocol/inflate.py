"""Compressed request bodies, never inflated beyond the limit."""

import zlib

from chrion_runtime.serve.protocol.errors import BadRequest, TooLarge, UnsupportedEncoding

Buffer = bytes | bytearray | memoryview

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
    stream = zlib.decompressobj(_WINDOW[name])
    try:
        plain = stream.decompress(body, limit + 1)
    except zlib.error:
        raise BadRequest(f"the body is not valid {name}, which its Content-Encoding says it is") from None
    if len(plain) > limit:
        raise TooLarge(limit)
    if not stream.eof:
        raise BadRequest(f"the {name} body is cut short")
    if stream.unused_data:
        raise BadRequest(f"{len(stream.unused_data)} bytes are left over after the {name} body")
    return plain
