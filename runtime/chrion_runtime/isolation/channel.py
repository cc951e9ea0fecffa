"""One conversation between two processes: a message is a small JSON object, with tensors in shared memory.

| message | is |
|---|---|
| `N`, then `R` with a descriptor | new shared memory, for what its sender sends from now on |
| `I` and a text | a message |
| `L` and two numbers | a message whose text is in the shared memory, from the first number on, as long as the second |

The text is two lines of JSON: the message, and where its tensors lie. The second is the same for requests that are
alike, so that both ends have it ready.

Nothing in a message is executed or unpickled: a process that a model has taken over can only give wrong answers.
"""

import socket
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import orjson

from chrion_runtime.isolation.region import Region
from chrion_runtime.servable import Array

INLINE = 32 * 1024
"""A text of more bytes goes through the shared memory."""
KEPT = 8 << 20
"""Shared memory of more bytes is for one message, and given back."""
LEAST = 64 * 1024
KNOWN, KNOWN_BYTES = 256, 4096
"""Layouts whose tensors are kept ready, and the most that one of them takes."""
_ALIGNED = 64
_PLACE = struct.Struct("<QQ")

Message = dict[str, Any]


class Channel:
    """One end of a conversation; used by one thread at a time."""

    def __init__(self, sock: socket.socket) -> None:
        """`sock` is of type SOCK_SEQPACKET."""
        self._socket = sock
        self._ours: Region | None = None
        self._theirs: Region | None = None

    def send(self, message: Message, tensors: Sequence[Array]) -> None:
        """Send a message with tensors. Raises OSError where the other end is gone."""
        layout, end = _layout(tensors)
        data = orjson.dumps(message) + b"\n" + layout
        inline = len(data) <= INLINE
        region = self._room(end if inline else end + len(data))
        if end and region is not None:
            for place, tensor in zip(_tensors(layout, region), tensors, strict=True):
                if not tensor.dtype.hasobject:
                    np.copyto(place, tensor)
        if inline:
            self._socket.send(b"I" + data)
        elif region is not None:
            region.write(data, end)
            self._socket.send(b"L" + _PLACE.pack(end, len(data)))
        if region is not None and region.size > KEPT:
            self._ours = None

    def receive(self) -> tuple[Message, tuple[Array, ...]]:
        """Wait for a message; its tensors are views that hold until the next one is received or sent.

        Raises EOFError where the other end is gone, ValueError for what is no message.
        """
        while (data := self._socket.recv(INLINE + 1)) == b"N":
            _, fds, _, _ = socket.recv_fds(self._socket, 1, 1)
            if len(fds) != 1:
                raise ValueError("no shared memory came")
            self._theirs = Region(fds[0])
        if not data:
            raise EOFError
        region = self._theirs
        if data[:1] == b"L" and region is not None and len(data) == 1 + _PLACE.size:
            data = region.read(*_PLACE.unpack(data[1:]))
        else:
            data = data[1:]
        head, _, layout = data.partition(b"\n")
        try:
            message = orjson.loads(head)
            tensors = _tensors(layout, region)
        except (TypeError, OverflowError) as error:
            raise ValueError(f"no message: {error}") from None
        if region is not None and region.size > KEPT:
            self._theirs = None
        return message, tensors

    def hang_up(self) -> None:
        """End the conversation, for both ends, and for who waits at this one."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of this end; nobody may use it any more."""
        self._socket.close()

    def _room(self, size: int) -> Region | None:
        if size and (self._ours is None or self._ours.size < size):
            fd = Region.make(max(LEAST, size + size // 4 if size <= KEPT // 2 else size))
            self._socket.send(b"N")
            socket.send_fds(self._socket, [b"R"], [fd])
            self._ours = Region(fd)
        return self._ours


def _layout(tensors: Sequence[Array]) -> tuple[bytes, int]:
    """Where tensors lie in shared memory, as JSON, and how many bytes they take; strings stand in the JSON itself."""
    if not any(tensor.dtype.hasobject for tensor in tensors):
        return _numbers(tuple((tensor.dtype, tensor.shape) for tensor in tensors))
    places: list[Any] = []
    end = 0
    for tensor in tensors:
        if tensor.dtype.hasobject:
            places.append([tensor.shape, tensor.ravel().tolist()])
        else:
            places.append([tensor.dtype.str, tensor.shape, end])
            end += _room_of(tensor.nbytes)
    return orjson.dumps(places), end


@lru_cache(maxsize=KNOWN)
def _numbers(kinds: tuple[tuple[np.dtype[Any], tuple[int, ...]], ...]) -> tuple[bytes, int]:
    """`_layout` of tensors of numbers."""
    places = []
    end = 0
    for dtype, shape in kinds:
        places.append([dtype.str, shape, end])
        end += _room_of(prod(shape) * dtype.itemsize)
    return orjson.dumps(places), end


def _room_of(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


def _tensors(layout: bytes, region: Region | None) -> tuple[Array, ...]:
    """The tensors of a layout: views of the shared memory, but for strings. Raises ValueError, TypeError."""
    if region is not None and (known := region.known.get(layout)) is not None:
        return known
    places = orjson.loads(layout)
    tensors = tuple(_tensor(place, region) for place in places)
    if region is not None and len(layout) <= KNOWN_BYTES and all(len(place) == 3 for place in places):
        if len(region.known) >= KNOWN:
            region.known.clear()
        region.known[layout] = tensors
    return tensors


def _tensor(place: Sequence[Any], region: Region | None) -> Array:
    if len(place) == 2:
        return np.array(place[1], dtype=object).reshape(place[0])
    dtype, shape, offset = place
    if 0 in shape:
        return np.empty(shape, dtype)
    if region is None:
        raise ValueError("a tensor came without shared memory")
    return region.array(dtype, tuple(shape), offset)


def named(names: Sequence[str], tensors: Sequence[Array]) -> Mapping[str, Array]:
    """Tensors of a message by name."""
    return dict(zip(names, tensors, strict=True))
