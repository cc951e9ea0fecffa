"""The same protocol over gRPC, beside HTTP and on the same event loop; the extra `grpc` brings what it needs.

Specification: https://github.com/kserve/open-inference-protocol, the service `inference.GRPCInferenceService`. From the
message on, a request takes the same steps as one over HTTP.
"""

from typing import TYPE_CHECKING

from chrion_runtime.errors import RuntimeFailure

if TYPE_CHECKING:
    from chrion_runtime.serve.grpc.server import GrpcServer
    from chrion_runtime.serve.models.registry import ModelRegistry

__all__ = ["GrpcUnavailable", "grpc_server"]


class GrpcUnavailable(RuntimeFailure):
    """gRPC is asked for, and what it needs is not installed."""


def grpc_server(registry: "ModelRegistry") -> "GrpcServer | None":
    """A server that has its port and does not answer yet, None where gRPC is off; called on the event loop.

    Raises GrpcUnavailable, CannotListen.
    """
    if registry.options.grpc_port is None:
        return None
    try:
        from chrion_runtime.serve.grpc.server import GrpcServer
    except ImportError:
        raise GrpcUnavailable("gRPC needs the extra grpc: pip install 'chrion[grpc]'") from None
    return GrpcServer(registry, registry.options.grpc_port)
