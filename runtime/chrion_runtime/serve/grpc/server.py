"""gRPC's server: its port, its limits and its end."""

import os
import secrets

import grpc
import grpc.aio

from chrion_runtime.serve.addresses import bind
from chrion_runtime.serve.grpc.allowed import TokenInterceptor
from chrion_runtime.serve.grpc.gate import Gate
from chrion_runtime.serve.grpc.health import Health
from chrion_runtime.serve.grpc.messages import SERVICE
from chrion_runtime.serve.grpc.reflection import describe
from chrion_runtime.serve.grpc.service import InferenceService
from chrion_runtime.serve.models.registry import ModelRegistry

MOST_CALLS = 1024
"""Calls at a time; gRPC refuses further ones with RESOURCE_EXHAUSTED."""

SEND_SECONDS = 1.0
"""What an answer may take to leave, and a connection to close, when nothing else is left of the drain."""

UNREAD_BYTES = 4 << 20
"""Bytes that each call takes in before they are read; with gRPC's first 64 KiB, large messages wait for round trips."""

_IDENTITY_ONLY = 1
"""No compression: gRPC would inflate a message to any size before it looks at it."""


class GrpcServer:
    """Answers over gRPC between `start` and `close`; made and called on the event loop."""

    def __init__(self, registry: ModelRegistry, port: int) -> None:
        """Take the port; 0 takes any that is free. Raises CannotListen."""
        options = registry.options
        self._service = InferenceService(registry)
        self._server = grpc.aio.server(
            interceptors=() if registry.access.tokens is None else (TokenInterceptor(registry.access.tokens),),
            maximum_concurrent_rpcs=MOST_CALLS,
            options=(
                ("grpc.max_receive_message_length", options.body_limit),
                ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_ONLY),
                ("grpc.max_connection_idle_ms", round(options.idle_seconds * 1e3)),
                # Bytes that a client has sent on a stream and nobody has read yet are counted nowhere, so they stay
                # within a fixed window; gRPC would otherwise let it grow with the bandwidth that it measures.
                ("grpc.http2.bdp_probe", 0),
                ("grpc.http2.lookahead_bytes", UNREAD_BYTES),
                # For peers that have vanished without a word.
                ("grpc.keepalive_time_ms", round(options.idle_seconds * 1e3)),
                ("grpc.keepalive_timeout_ms", round(options.write_seconds * 1e3)),
            ),
        )
        health = Health(registry)
        for name, handlers in ((SERVICE, self._service.handlers()), (health.NAME, health.handlers())):
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
        describe(self._server)
        # A name that nobody else has, and that leaves no file behind.
        name = f"chrion-{os.getpid()}-{secrets.token_hex(16)}"
        sock = bind(options.host, port)
        self.port: int = sock.getsockname()[1]
        self._server.add_insecure_port(f"unix-abstract:{name}")
        context = registry.access.context(protocols=("h2",))
        self._gate = Gate(sock, f"\0{name}", registry.bodies, context, options.read_seconds)

    async def start(self) -> None:
        """Answer from now on."""
        await self._server.start()
        await self._gate.start()

    def leave(self) -> None:
        """Take no more requests; those in flight go on.

        They are refused with a reason, where gRPC, told to stop, would cut some off that came in at that moment.
        """
        self._service.leave()

    async def close(self) -> None:
        """Close all connections; what is still in flight is cut off."""
        await self._server.stop(SEND_SECONDS)
        self._gate.close()
