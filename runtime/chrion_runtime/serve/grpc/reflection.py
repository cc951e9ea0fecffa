"""Tells tools such as grpcurl what can be asked, by gRPC's reflection."""

from typing import Any

from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from chrion_runtime.serve.grpc.messages import POOL, SERVICE


def describe(server: Any) -> None:
    """Have a server, before it starts, describe its services."""
    for file in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        POOL.AddSerializedFile(file.serialized_pb)
    names = (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server, pool=POOL)
