"""The line on which a group's process is told what to serve, and tells how it does.

From the parent come pickled tuples, for it makes what it sends; from the process comes JSON, which cannot make the
parent do anything. Each message has its length before it.
"""

import pickle
import select
import socket
import struct
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock
from typing import Any

import orjson

_LENGTH = struct.Struct("<Q")
MOST_BYTES = 64 << 20
"""A process whose message is larger is taken to be out of its mind."""


class Control:
    """One end of the line; `send` may be called from any thread, `receive` from one."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._sending = Lock()
        self._data = bytearray()
        self._fds: deque[int] = deque()

    def tell(self, *message: Any, fds: Sequence[int] = ()) -> None:
        """As the parent: send a message and descriptors. Raises OSError where the process is gone."""
        self._send(pickle.dumps(message), fds)

    def report(self, message: dict[str, Any]) -> None:
        """As the process: send JSON. Raises OSError where the parent is gone."""
        self._send(orjson.dumps(message), ())

    def told(self) -> tuple[Any, ...]:
        """As the process: wait for the next message. Raises EOFError."""
        return pickle.loads(self._receive())  # type: ignore[no-any-return]  # noqa: S301, from our own parent

    def reported(self) -> dict[str, Any]:
        """As the parent: wait for the next report. Raises EOFError, ValueError."""
        found: dict[str, Any] = orjson.loads(self._receive())
        return found

    def descriptor(self) -> int:
        """As the process: the descriptor that came with a message."""
        return self._fds.popleft()

    def comes(self, seconds: float) -> bool:
        """Wait for something to come, for so long; whether it has."""
        waiting = select.poll()
        waiting.register(self._socket, select.POLLIN)
        return self._holds or bool(waiting.poll(seconds * 1e3))

    @property
    def _holds(self) -> bool:
        """Whether a whole message is here already."""
        return len(self._data) >= _LENGTH.size and len(self._data) >= _LENGTH.size + self._length

    @property
    def _length(self) -> int:
        length: int = _LENGTH.unpack_from(self._data)[0]
        if length > MOST_BYTES:
            raise ValueError(f"a message of {length} bytes")
        return length

    def hang_up(self) -> None:
        """End the conversation, for both ends."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the socket; nobody may use it any more."""
        self._socket.close()

    def _send(self, data: bytes, fds: Sequence[int]) -> None:
        with self._sending:
            head = _LENGTH.pack(len(data))
            if fds:
                socket.send_fds(self._socket, [head], fds)
            else:
                self._socket.sendall(head)
            self._socket.sendall(data)

    def _receive(self) -> bytes:
        while not self._holds:
            data, fds, _, _ = socket.recv_fds(self._socket, 1 << 16, 8)
            if not data:
                raise EOFError
            self._data += data
            self._fds.extend(fds)
        end = _LENGTH.size + self._length
        message = bytes(self._data[_LENGTH.size : end])
        del self._data[:end]
        return message
