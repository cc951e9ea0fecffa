"""Messages between this process and one of its own, each sent or received whole within a time.

The other end may be stopped at any byte, so no send or receive waits longer than it is told to. Large buffers (bodies,
arrays) travel beside the pickle and not in it: neither side copies them, nor holds the interpreter over them.
"""

import pickle
import socket
import struct
from time import monotonic
from typing import Any, Self

_COUNT = struct.Struct("<I")
_SIZE = struct.Struct("<Q")


class Message:
    """What came through a pipe."""

    def __init__(self, parts: list[bytearray]) -> None:
        self._parts = parts

    def value(self) -> Any:
        """What was sent; its large buffers are this message's own. Raises whatever unpickling does."""
        pickled, *buffers = self._parts
        return pickle.loads(pickled, buffers=buffers)  # noqa: S301, from a process of our own


class Pipe:
    """One end. Not for two threads at once. Only for processes that trust each other: messages are pickles."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        """Both ends of a new one."""
        ours, theirs = socket.socketpair()
        return cls(ours), cls(theirs)

    @classmethod
    def of(cls, fd: int) -> Self:
        """The end that this process was started with."""
        return cls(socket.socket(fileno=fd))

    def fileno(self) -> int:
        """The file descriptor, for the process that takes this end."""
        return self._socket.fileno()

    def send(self, value: Any, seconds: float | None = None) -> None:
        """Send a message; None waits for as long as it takes.

        Raises TimeoutError after `seconds`, with part of the message sent, and OSError when the other end has gone.
        """
        buffers: list[pickle.PickleBuffer] = []
        parts: list[bytes | memoryview] = [pickle.dumps(value, protocol=5, buffer_callback=buffers.append)]
        parts += [buffer.raw() for buffer in buffers]
        sizes = b"".join(_SIZE.pack(len(part)) for part in parts)
        deadline = None if seconds is None else monotonic() + seconds
        for part in (_COUNT.pack(len(parts)) + sizes, *parts):
            # The timeout of sendall is for all of it, however little the other end takes at a time.
            self._wait(deadline)
            self._socket.sendall(part)

    def receive(self, seconds: float | None = None) -> "Message":
        """The next message, whole and not looked at yet; None waits for as long as it takes.

        Raises TimeoutError after `seconds`, with part of the message lost, EOFError when the other end has closed, and
        OSError when it has gone.
        """
        deadline = None if seconds is None else monotonic() + seconds
        (count,) = _COUNT.unpack(self._exactly(_COUNT.size, deadline))
        sizes = [size for (size,) in _SIZE.iter_unpack(self._exactly(_SIZE.size * count, deadline))]
        return Message([self._exactly(size, deadline) for size in sizes])

    def send_pipe(self, end: "Pipe") -> None:
        """Send an end of another pipe, which stays open here too. Raises OSError when the other end has gone."""
        self._socket.settimeout(None)
        socket.send_fds(self._socket, [b"\0"], [end.fileno()])

    def receive_fd(self) -> int:
        """The file descriptor of an end that was sent. Raises EOFError when the other end has closed."""
        self._socket.settimeout(None)
        _, fds, _, _ = socket.recv_fds(self._socket, 1, 1)
        if not fds:
            raise EOFError
        return fds[0]

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def _exactly(self, size: int, deadline: float | None) -> bytearray:
        found = bytearray(size)
        view = memoryview(found)
        while view:
            self._wait(deadline)
            got = self._socket.recv_into(view)
            if not got:
                raise EOFError
            view = view[got:]
        return found

    def _wait(self, deadline: float | None) -> None:
        if deadline is None:
            self._socket.settimeout(None)
            return
        left = deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
