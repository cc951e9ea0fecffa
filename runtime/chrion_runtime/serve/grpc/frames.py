"""Which bytes of an HTTP/2 connection belong to messages that have not come whole: the frames' heads, and no more.

Specification: RFC 9113, sections 3.4, 4.1 and 6.
"""

import struct
from collections.abc import Callable

PREFACE = 24
"""Bytes that a client sends before its first frame."""
FRAME_COST = 64
"""Bytes that gRPC takes for each frame of data beside what is in it, about."""

_LAYOUT = struct.Struct(">HBBBI")
"""Of a frame's head: its length in two parts, type, flags, and stream."""
_HEAD = _LAYOUT.size
_DATA, _HEADERS, _RST_STREAM = 0, 1, 3
_END_STREAM = 1


class Frames:
    """One direction of a connection, read in parts of any size."""

    def __init__(
        self,
        skip: int,
        began: Callable[[int], None] | None,
        data: Callable[[int, int], None] | None,
        ended: Callable[[int], None],
    ) -> None:
        """`skip` is how many bytes come before the first frame.

        `began` is told each stream that is opened, `data` each stream with the bytes that came, `ended` each stream of
        which nothing more comes, once its last frame is whole.
        """
        self._began, self._data, self._ended = began, data, ended
        self._head = b""
        self._left = skip
        self._kind, self._stream, self._ends, self._cost = -1, 0, False, 0

    def feed(self, part: bytes) -> None:
        """Look at what came."""
        at, size = 0, len(part)
        while at < size:
            if not self._left:
                if not self._head and size - at >= _HEAD:
                    self._open(part, at)
                    at += _HEAD
                else:
                    missing = _HEAD - len(self._head)
                    self._head += part[at : at + missing]
                    at += missing
                    if len(self._head) < _HEAD:
                        return
                    self._open(self._head, 0)
                    self._head = b""
            taken = min(self._left, size - at)
            self._left -= taken
            at += taken
            if self._ends and not self._left:
                # Whole with what came now: that need not be counted first.
                self._ended(self._stream)
            elif self._kind == _DATA and self._data is not None:
                self._data(self._stream, taken + self._cost)
                self._cost = 0

    def _open(self, head: bytes, at: int) -> None:
        high, low, self._kind, flags, stream = _LAYOUT.unpack_from(head, at)
        self._left = high << 8 | low
        self._stream = stream & 0x7FFFFFFF
        self._cost = FRAME_COST
        self._ends = self._kind == _RST_STREAM or (self._kind in (_DATA, _HEADERS) and bool(flags & _END_STREAM))
        if self._kind == _HEADERS and self._began is not None:
            self._began(self._stream)
