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
TELL_SECONDS = 1.0
"""What a process may take to read what it is told, for the event loop may be waiting; then the line is hung up."""


class Control:
    """One end of the line; any thread may speak, one listens."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._sending = Lock()
        self._data = bytearray()
        self._fds: deque[int] = deque()

    def tell(self, *message: Any, fds: Sequence[int] = (), seconds: float = TELL_SECONDS) -> None:
        """As the parent: send a message and descriptors. Raises OSError where the process is gone, or does not read."""
        self._send(pickle.dumps(message), fds, seconds)

    def report(self, message: dict[str, Any]) -> None:
        """As the process: send JSON. Raises OSError where the parent is gone."""
        self._send(orjson.dumps(message), (), None)

    def told(self) -> tuple[Any, ...]:
        """As the process: wait for the next message. Raises EOFError."""
        while not self._holds:
            data, fds, _, _ = socket.recv_fds(self._socket, 1 << 16, 8)
            self._take(data)
            self._fds.extend(fds)
        return pickle.loads(self._message())  # type: ignore[no-any-return]  # noqa: S301, from our own parent

    def reported(self, seconds: float) -> dict[str, Any] | None:
        """As the parent: the next report; None where it is not all here after so long. Raises EOFError, ValueError.

        Nothing that the process does, such as to say half of it, makes this wait for longer.
        """
        if not self._holds:
            waiting = select.poll()
            waiting.register(self._socket, select.POLLIN)
            if waiting.poll(seconds * 1e3):
                # Descriptors that come along are not taken: they would fill the parent's table.
                self._take(self._socket.recv(1 << 16))
        if not self._holds:
            return None
        found: dict[str, Any] = orjson.loads(self._message())
        return found

    def descriptor(self) -> int:
        """As the process: the descriptor that came with a message."""
        return self._fds.popleft()

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

    def _send(self, data: bytes, fds: Sequence[int], seconds: float | None) -> None:
        if not self._sending.acquire(timeout=-1 if seconds is None else seconds):
            raise TimeoutError("what was said before is not read")
        try:
            self._socket.settimeout(seconds)
            head = _LENGTH.pack(len(data))
            if fds:
                socket.send_fds(self._socket, [head], fds)
            else:
                self._socket.sendall(head)
            self._socket.sendall(data)
        except OSError:
            self.hang_up()  # half a message may be there
            raise
        finally:
            self._sending.release()

    def _take(self, data: bytes) -> None:
        if not data:
            raise EOFError
        self._data += data

    def _message(self) -> bytes:
        end = _LENGTH.size + self._length
        message = bytes(self._data[_LENGTH.size : end])
        del self._data[:end]
        return message
