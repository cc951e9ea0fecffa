"""Admits only calls with a valid token; health checks need none."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2

from chrion_runtime.serve.access.tokens import Tokens
from chrion_runtime.serve.grpc.messages import SERVICE
from chrion_runtime.serve.grpc.status import refuse
from chrion_runtime.serve.protocol.errors import Unauthorized

_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
OPEN = (f"/{SERVICE}/ServerLive", f"/{SERVICE}/ServerReady", f"/{_HEALTH}/Check", f"/{_HEALTH}/Watch")


class TokenInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Stands before every method of a server, and refuses a call before its message is read."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """What handles a call: its method, or a refusal."""
        given = dict(details.invocation_metadata).get("authorization")
        if details.method in OPEN or self._tokens.allow(given if isinstance(given, str) else None):
            return await continuation(details)
        return grpc.stream_stream_rpc_method_handler(_refused)


async def _refused(_: Any, context: Any) -> None:
    await refuse(context, Unauthorized(), "a call", {})
