"""From the first socket to the last answer: listen, wait for a signal, drain, close."""

import asyncio
import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

import uvloop
from aiohttp import web

from chrion_runtime.servable import Servable
from chrion_runtime.serve.addresses import address, bind
from chrion_runtime.serve.grpc import grpc_server
from chrion_runtime.serve.http.app import build_app, build_metrics_app
from chrion_runtime.serve.http.connection import Connection, missing
from chrion_runtime.serve.http.errors import JsonErrors
from chrion_runtime.serve.http.http_log import http_log
from chrion_runtime.serve.models.registry import ModelRegistry
from chrion_runtime.serve.models.repository import Repository
from chrion_runtime.serve.options import ServerOptions

log = logging.getLogger(__name__)

SWITCH_INTERVAL = 50e-6
"""Seconds after which a thread that holds the GIL is asked for it. Beside a thread of pure Python, two lanes of 8 hops
that take 1.5 ms alone took 55 ms with Python's own 5 ms, and 2.8 ms with this."""

BACKLOG = 1024
"""Connections that the kernel holds until they are accepted."""

LINGER_SECONDS = 10.0
"""What a client may take to send the rest of a body that was refused, so that it reads why."""

CODEC_SECONDS = 5.0
"""What the processes for large JSON may take to start before the server listens without them."""

CLOSE_SECONDS = 1.0
"""What idle threads may take to end when nothing is left of the drain."""


@dataclass(frozen=True)
class Listening:
    """Where a server answers."""

    host: str
    port: int
    metrics_port: int | None
    grpc_port: int | None = None
    encrypted: bool = False
    """Whether by TLS."""

    @property
    def url(self) -> str:
        """The inference API's URL."""
        return self._url(self.port)

    @property
    def page_url(self) -> str | None:
        """The URL of the page to look at; None without a second port."""
        return None if self.metrics_port is None else self._url(self.metrics_port) + "/"

    @property
    def metrics_url(self) -> str | None:
        """The URL of the metrics; None without a second port."""
        return None if self.metrics_port is None else self._url(self.metrics_port) + "/metrics"

    @property
    def grpc_address(self) -> str | None:
        """Host and port of gRPC; None where it is off."""
        return None if self.grpc_port is None else address(self.host, self.grpc_port)

    def _url(self, port: int) -> str:
        return f"{'https' if self.encrypted else 'http'}://{address(self.host, port)}"


def serve(
    servables: Sequence[Servable],
    options: ServerOptions | None = None,
    on_listening: Callable[[Listening], None] | None = None,
    repository: Callable[[ModelRegistry], Repository] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; called on the main thread.

    On the signal readiness turns 503 and answers close their connections; after `options.leave_seconds` no more
    connections are taken, requests in flight are answered within `options.drain_seconds` (a second signal ends both
    waits), and the servables are closed; they are closed too when serving cannot begin. `on_listening` is called once,
    with the ports that were really taken. `repository` makes what loads and unloads models meanwhile; without it
    nobody can.

    Raises CannotListen when an address is taken or not this machine's, GrpcUnavailable when gRPC is asked for and not
    installed, and RuntimeFailure when the models cannot be served together.
    """
    options = options or ServerOptions()
    sys.setswitchinterval(SWITCH_INTERVAL)
    # Each connection is a file, and over gRPC three; the usual 1024 are for programs that ask select() about them.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        registry = ModelRegistry(servables, options)
    except BaseException:
        for servable in servables:
            servable.close()
        raise
    seconds_left = CLOSE_SECONDS
    try:
        if registry.codec is not None:
            # Before the first request, from which they would take a core.
            registry.codec.start(CODEC_SECONDS)
        seconds_left = uvloop.run(_until_signal(registry, on_listening, repository(registry) if repository else None))
    finally:
        stuck = registry.close(seconds_left)
        if stuck:
            log.warning(
                "exiting with requests of %s still running: they did not finish while draining", ", ".join(stuck)
            )


async def _until_signal(
    registry: ModelRegistry, on_listening: Callable[[Listening], None] | None, repository: Repository | None
) -> float:
    """Serve until a signal; the seconds of the drain that are left."""
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: (hurry if stop.is_set() else stop).set())
    async with listening(registry, hurry, repository) as where:
        if registry.codec is not None:
            registry.codec.start()
        # All that is loaded by now stays, or goes by itself when it is exchanged: to look for garbage among it would
        # hold up every request.
        gc.collect()
        gc.freeze()
        if on_listening is not None:
            on_listening(where)
        await stop.wait()
        registry.draining = True
        with suppress(TimeoutError):
            await asyncio.wait_for(hurry.wait(), registry.options.leave_seconds)
        deadline = monotonic() + registry.options.drain_seconds
    return CLOSE_SECONDS if hurry.is_set() else max(CLOSE_SECONDS, deadline - monotonic())


@asynccontextmanager
async def listening(
    registry: ModelRegistry, hurry: asyncio.Event | None = None, repository: Repository | None = None
) -> AsyncIterator[Listening]:
    """Answer on all ports inside the block; drain when leaving it, until done, too late, or `hurry` is set.

    Raises CannotListen, GrpcUnavailable.
    """
    options = registry.options
    async with AsyncExitStack() as stack:
        # All addresses are taken before anything is said or answered.
        sock = stack.enter_context(bind(options.host, options.port))
        if options.metrics_port is not None:
            metrics_sock = stack.enter_context(bind(options.host, options.metrics_port))
        calls = grpc_server(registry)
        following = asyncio.create_task(registry.access.follow())
        stack.callback(following.cancel)
        if options.metrics_port is not None:
            await _start(stack, registry, build_metrics_app(registry), metrics_sock, infers=False)
        listener = await _start(stack, registry, build_app(registry, repository), sock, infers=True)
        if calls is not None:
            await calls.start()
            stack.push_async_callback(calls.close)
        where = Listening(
            options.host,
            sock.getsockname()[1],
            None if options.metrics_port is None else metrics_sock.getsockname()[1],
            None if calls is None else calls.port,
            registry.access.certificates is not None,
        )
        try:
            yield where
        finally:
            registry.draining = True
            await _stop(listener, sock)
            if calls is not None:
                calls.leave()
            await _drain(registry, hurry)


async def _drain(registry: ModelRegistry, hurry: asyncio.Event | None) -> None:
    waits: list[asyncio.Task[Any]] = [asyncio.create_task(registry.drained())]
    if hurry is not None:
        waits.append(asyncio.create_task(hurry.wait()))
    try:
        await asyncio.wait(waits, timeout=registry.options.drain_seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _start(
    stack: AsyncExitStack, registry: ModelRegistry, app: web.Application, sock: socket.socket, infers: bool
) -> asyncio.Server:
    options: dict[str, Any] = {
        "access_log": None,
        "logger": http_log,
        # Bodies are inflated within limits, and not here.
        "auto_decompress": False,
        "keepalive_timeout": registry.options.idle_seconds,
        # For what a refused request still sends.
        "lingering_time": min(LINGER_SECONDS, registry.options.read_seconds),
    }
    # Requests whose client has gone leave the queue. What could be waited for has been by the time of the shutdown.
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0, **options)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    server = runner.server
    assert server is not None
    loop = asyncio.get_running_loop()
    connection: Callable[..., web.RequestHandler] = JsonErrors
    if infers:
        if lacks := missing(connection(server, loop=loop, **options)):
            log.warning("this version of aiohttp lacks %s: requests take longer than they need to", ", ".join(lacks))
        else:
            connection = partial(Connection, registry)
    encryption: dict[str, Any] = {}
    # Probes, which ask the second port, have no certificates.
    if (context := registry.access.context(asks_clients=infers, protocols=("http/1.1",))) is not None:
        encryption = {"ssl": context, "ssl_handshake_timeout": registry.options.read_seconds}
    return await loop.create_server(
        lambda: connection(server, loop=loop, **options), sock=sock, backlog=BACKLOG, **encryption
    )


async def _stop(listener: asyncio.Server, sock: socket.socket) -> None:
    """Take no more connections, and lose none that was taken."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, asyncio.SelectorEventLoop):
        # Connections that asyncio has accepted, but not begun with, would be lost with the listening socket.
        loop.remove_reader(sock)
        await asyncio.sleep(0)
    listener.close()
