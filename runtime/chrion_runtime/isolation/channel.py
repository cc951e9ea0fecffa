"""One conversation between two processes: a message is a small JSON object, with tensors in shared memory.

| message | is |
|---|---|
| `N`, then `R` with a descriptor | new shared memory, for what its sender sends from now on |
| `I` and JSON | a message |
| `L` and two numbers | a message whose JSON is in the shared memory, from the first number on, as long as the second |

Nothing in a message is executed or unpickled: a process that a model has taken over can only give wrong answers.
"""

import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from chrion_runtime.isolation.region import Region
from chrion_runtime.servable import Array

INLINE = 32 * 1024
"""JSON of more bytes goes through the shared memory."""
KEPT = 8 << 20
"""Shared memory of more bytes is for one message, and given back."""
LEAST = 64 * 1024
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
        places, end = _places(tensors)
        data = orjson.dumps({**message, "tensors": places})
        inline = len(data) <= INLINE
        region = self._room(end if inline else end + len(data))
        for place, tensor in zip(places, tensors, strict=True):
            if tensor.size and not tensor.dtype.hasobject and region is not None:
                np.copyto(region.array(*place), tensor)
        if inline:
            self._socket.send(b"I" + data)
        elif region is not None:
            region.write(data, end)
            self._socket.send(b"L" + _PLACE.pack(end, len(data)))
        if region is not None and region.size > KEPT:
            self._ours = None

    def receive(self) -> tuple[Message, list[Array]]:
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
            message = orjson.loads(region.read(*_PLACE.unpack(data[1:])))
        else:
            message = orjson.loads(memoryview(data)[1:])
        tensors = [_tensor(place, region) for place in message["tensors"]]
        if region is not None and region.size > KEPT:
            self._theirs = None
        return message, tensors

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _room(self, size: int) -> Region | None:
        if size and (self._ours is None or self._ours.size < size):
            fd = Region.make(max(LEAST, size + size // 4 if size <= KEPT // 2 else size))
            self._socket.send(b"N")
            socket.send_fds(self._socket, [b"R"], [fd])
            self._ours = Region(fd)
        return self._ours


def _places(tensors: Sequence[Array]) -> tuple[list[Any], int]:
    """Where tensors lie in shared memory, and how many bytes they take; strings stand in the message itself."""
    places: list[Any] = []
    end = 0
    for tensor in tensors:
        if tensor.dtype.hasobject:
            places.append([tensor.shape, tensor.ravel().tolist()])
        else:
            places.append([tensor.dtype.str, tensor.shape, end])
            end += -(-tensor.nbytes // _ALIGNED) * _ALIGNED
    return places, end


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
