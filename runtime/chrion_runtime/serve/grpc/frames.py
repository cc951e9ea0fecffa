"""Which bytes of an HTTP/2 connection belong to messages that have not come whole: the frames' heads, and no more.

Specification: RFC 9113, sections 3.4, 4.1 and 6.
"""

import struct
from collections.abc import Callable

PREFACE = 24
"""Bytes that a client sends before its first frame."""
FRAME_COST = 64
"""Bytes that gRPC takes for each frame of data beside what is in it, about."""

_PREFIX = 5
"""Bytes before each message."""
_LAYOUT = struct.Struct(">HBBBI")
"""Of a frame's head: its length in two parts, type, flags, and stream."""
_HEAD = _LAYOUT.size
_DATA, _HEADERS, _RST_STREAM = 0, 1, 3
_END_STREAM, _PADDED = 1, 8


class Frames:
    """One direction of a connection, read in parts of any size."""

    def __init__(
        self,
        skip: int,
        began: Callable[[int], None] | None,
        data: Callable[[int, memoryview, int], None] | None,
        ended: Callable[[int], None],
        padded: Callable[[int], None] | None = None,
    ) -> None:
        """`skip` is how many bytes come before the first frame.

        `began` is told each stream that is opened, `data` each stream with the bytes that came and what gRPC takes for
        them beside, `ended` each stream of which nothing more comes, once its last frame is whole, and `padded` each
        with a frame of data that is not all data.
        """
        self._began, self._data, self._ended, self._padded = began, data, ended, padded
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
                self._data(self._stream, memoryview(part)[at - taken : at], self._cost)
                self._cost = 0

    def _open(self, head: bytes, at: int) -> None:
        high, low, self._kind, flags, stream = _LAYOUT.unpack_from(head, at)
        self._left = high << 8 | low
        self._stream = stream & 0x7FFFFFFF
        self._cost = FRAME_COST
        if self._kind == _DATA and flags & _PADDED and self._padded is not None:
            self._padded(self._stream)
        self._ends = self._kind == _RST_STREAM or (self._kind in (_DATA, _HEADERS) and bool(flags & _END_STREAM))
        if self._kind == _HEADERS and self._began is not None:
            self._began(self._stream)


class Incoming:
    """What has come of one stream's messages and is not whole.

    A message has five bytes before it, of which the last four are its length ("Length-Prefixed-Message" in
    https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
    """

    def __init__(self) -> None:
        self.held = 0
        """Bytes that count as held."""
        self.followed = True
        """Whether messages can be told apart: not where data is padded, and then all of it counts until the end."""
        self._prefix = b""
        self._left = 0
        self._came = 0

    def feed(self, part: memoryview, cost: int) -> int:
        """Take in what came, and give the bytes that count as held for it now, more or less than before."""
        before = self.held
        self.held += len(part) + cost
        self._came += cost
        if self.followed and self._whole(part):
            self.held = self._came
        return self.held - before

    def _whole(self, part: memoryview) -> bool:
        """Whether a message became whole; what came since is then all that is held."""
        found, at = False, 0
        while at < len(part):
            if self._left:
                taken = min(self._left, len(part) - at)
                self._left -= taken
            else:
                taken = min(_PREFIX - len(self._prefix), len(part) - at)
                self._prefix += bytes(part[at : at + taken])
                if len(self._prefix) == _PREFIX:
                    self._left = int.from_bytes(self._prefix[1:], "big")
                    self._prefix = b""
            at += taken
            self._came += taken
            if not self._left and not self._prefix:
                found, self._came = True, 0
        return found
