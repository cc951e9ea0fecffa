"""What stands before gRPC's server and counts the bytes of messages as they come in, among the bodies in flight.

gRPC keeps what has come of a message to itself until it is whole, and has no limit on what it keeps altogether. So
clients connect here, and every byte goes on to gRPC's server, on a socket of this process's own, and back, unchanged.
Where messages that are still coming would hold more than bodies may, the connection that holds most of it is closed.
"""

import asyncio
import logging
import socket
import ssl
from typing import Any, cast

from chrion_runtime.serve.admission.body_budget import BodyBudget
from chrion_runtime.serve.grpc.frames import PREFACE, Frames, Incoming
from chrion_runtime.serve.protocol.errors import TooMuch

log = logging.getLogger(__name__)


LINGER_SECONDS = 30.0
"""What one end may take to read what is left when the other is closed."""


class Gate:
    """Takes connections on one socket, between `start` and `close`; made and called on the event loop."""

    def __init__(
        self,
        sock: socket.socket,
        behind: str,
        bodies: BodyBudget,
        context: ssl.SSLContext | None = None,
        handshake_seconds: float | None = None,
    ) -> None:
        """`behind` is the Unix socket's address of gRPC's server; clients' connections are encrypted by `context`."""
        self._encryption: dict[str, Any] = {}
        if context is not None:
            self._encryption = {"ssl": context, "ssl_handshake_timeout": handshake_seconds}
        self._sock = sock
        self._behind = behind
        self._bodies = bodies
        self._passages: set[_Passage] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Take connections from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Passage(self, loop).client, sock=self._sock, **self._encryption
        )

    def close(self) -> None:
        """Close all connections, and take no more."""
        if self._server is not None:
            self._server.close()
        self._sock.close()
        for passage in tuple(self._passages):
            passage.abort()

    def enter(self, passage: "_Passage") -> None:
        """A connection has come."""
        self._passages.add(passage)

    def leave(self, passage: "_Passage") -> None:
        """It has gone."""
        self._passages.discard(passage)
        self.give(passage)

    def take(self, passage: "_Passage", size: int) -> None:
        """So much more has come over a connection of a message that is not whole; may abort it, or another."""
        while passage.open:
            try:
                self._bodies.take(size)
            except TooMuch:
                most = max(self._passages, key=lambda one: one.held)
                log.info("closed a gRPC connection that held %d bytes of incomplete messages", most.held)
                most.abort()
            else:
                passage.held += size
                return

    def give(self, passage: "_Passage", size: int | None = None) -> None:
        """So much has become whole, or is gone; None for all of it."""
        size = passage.held if size is None else size
        passage.held -= size
        self._bodies.give(size)

    async def connect(self, end: "_End") -> None:
        """Connect an end with gRPC's server. Raises OSError."""
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.setblocking(False)
            # By itself, for uvloop takes no abstract addresses.
            await loop.sock_connect(sock, self._behind)
            await loop.create_unix_connection(lambda: end, sock=sock)
        except BaseException:
            sock.close()
            raise


class _End(asyncio.Protocol):
    """One of a passage's two connections: what comes here goes out at the other."""

    def __init__(self, passage: "_Passage", frames: Frames) -> None:
        self._passage = passage
        self._frames = frames
        self.transport: asyncio.Transport | None = None
        self.other: _End
        self._early: list[bytes] = []
        """What came before this was connected: uvloop pauses no connection that it is just making."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        for data in self._early:
            self.transport.write(data)
        self._early.clear()
        self._passage.made(self)

    def data_received(self, data: bytes) -> None:
        self._frames.feed(data)
        if self._passage.open:
            self.other.send(data)

    def send(self, data: bytes) -> None:
        """Send it here, once this is connected."""
        if self.transport is None:
            self._early.append(data)
        else:
            self.transport.write(data)

    def pause_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, _: Exception | None) -> None:
        self._passage.lost(self)


class _Passage:
    """A client's connection and the one that goes on from it."""

    def __init__(self, gate: Gate, loop: asyncio.AbstractEventLoop) -> None:
        self._gate = gate
        self._loop = loop
        self._coming: dict[int, Incoming] = {}
        """What has come of each stream's messages that are not whole."""
        self.open = True
        self.held = 0
        """Their sum."""
        self.client = _End(self, Frames(PREFACE, self._began, self._data, self._ended, self._padded))
        self.server = _End(self, Frames(0, None, None, self._ended))
        self.client.other, self.server.other = self.server, self.client
        self._connecting: asyncio.Task[None] | None = None

    def made(self, end: _End) -> None:
        """An end is connected."""
        client = self.client.transport
        assert client is not None
        if end is self.client:
            self._gate.enter(self)
            client.pause_reading()
            self._connecting = self._loop.create_task(self._connect())
        elif self.open:
            client.resume_reading()
        else:
            self.abort()

    def lost(self, end: _End) -> None:
        """An end is closed: what is on its way out of the other still goes."""
        if self.open:
            self.open = False
            self._gate.leave(self)
        if end.other.transport is not None:
            end.other.transport.close()
            self._loop.call_later(LINGER_SECONDS, end.other.transport.abort)

    def abort(self) -> None:
        """Close both ends now."""
        if self.open:
            self.open = False
            self._gate.leave(self)
        for end in (self.client, self.server):
            if end.transport is not None:
                end.transport.abort()

    async def _connect(self) -> None:
        try:
            await self._gate.connect(self.server)
        except OSError:  # it is closing, or there are no more files
            self.abort()

    def _began(self, stream: int) -> None:
        self._coming.setdefault(stream, Incoming())

    def _padded(self, stream: int) -> None:
        if stream in self._coming:
            self._coming[stream].followed = False

    def _data(self, stream: int, part: memoryview, cost: int) -> None:
        # Of a stream that the server has ended already it keeps nothing.
        if stream in self._coming:
            more = self._coming[stream].feed(part, cost)
            if more > 0:
                self._gate.take(self, more)
            elif self.open:
                self._gate.give(self, -more)

    def _ended(self, stream: int) -> None:
        coming = self._coming.pop(stream, None)
        if coming is not None and self.open:
            self._gate.give(self, coming.held)
