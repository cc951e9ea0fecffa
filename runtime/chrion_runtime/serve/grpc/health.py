"""gRPC's own health protocol, beside that of the inference protocol: for Kubernetes' gRPC probes and load balancers.

Specification: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import grpc
from grpc_health.v1 import health_pb2

from chrion_runtime.serve.grpc.messages import SERVICE
from chrion_runtime.serve.models.registry import ModelRegistry
from chrion_runtime.serve.protocol.errors import NotFound

LOOK_SECONDS = 0.5
"""How often a state that is watched is looked at."""

SERVING, NOT_SERVING, UNKNOWN = 1, 2, 3
"""`ServingStatus`, as the protocol numbers it."""


class Health:
    """The service: "" and the inference service stand for the server, and each model's name for that model."""

    NAME: ClassVar[str] = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    def handlers(self) -> dict[str, Any]:
        """gRPC's handler of each method."""
        codec = {
            "request_deserializer": health_pb2.HealthCheckRequest.FromString,
            "response_serializer": health_pb2.HealthCheckResponse.SerializeToString,
        }
        return {
            "Check": grpc.unary_unary_rpc_method_handler(self._check, **codec),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch, **codec),
        }

    def _state(self, service: str) -> int:
        registry = self._registry
        ready = registry.ready
        if service not in ("", SERVICE):
            try:
                ready = registry.model(service).ready and not registry.draining
            except NotFound:
                return UNKNOWN
        return SERVING if ready else NOT_SERVING

    async def _check(self, request: Any, context: Any) -> Any:
        state = self._state(request.service)
        if state == UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f'"{request.service[:80]}" is not served here')
        return health_pb2.HealthCheckResponse(status=state)

    async def _watch(self, request: Any, _: Any) -> AsyncIterator[Any]:
        told = -1
        while True:
            if (state := self._state(request.service)) != told:
                told = state
                yield health_pb2.HealthCheckResponse(status=state)
            await asyncio.sleep(LOOK_SECONDS)
