"""gRPC's own health protocol and its reflection, as probes and tools ask for them."""

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from chrion_runtime.serve.grpc.messages import SERVICE

SERVING, NOT_SERVING, UNKNOWN = 1, 2, 3


@pytest.fixture
def server(serving, echo):
    with serving(echo, grpc_port=0) as running:
        yield running


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(server.where.grpc_address) as channel:
        yield channel


def request(service):
    return health_pb2.HealthCheckRequest(service=service)


def test_server_service_and_model_can_be_asked_for(server, channel):
    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", SERVICE, "echo"):
        assert health.Check(request(service)).status == SERVING
    with pytest.raises(grpc.RpcError) as caught:
        health.Check(request("nobody"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    server.registry.draining = True
    for service in ("", SERVICE, "echo"):
        assert health.Check(request(service)).status == NOT_SERVING


@pytest.mark.parametrize(("service", "first", "then"), [("", SERVING, NOT_SERVING), ("echo", SERVING, NOT_SERVING)])
def test_changes_are_told_to_those_who_watch(server, channel, service, first, then):
    states = health_pb2_grpc.HealthStub(channel).Watch(request(service))
    assert next(states).status == first
    server.registry.draining = True
    assert next(states).status == then
    states.cancel()


def test_watching_what_is_unknown_says_so(channel):
    states = health_pb2_grpc.HealthStub(channel).Watch(request("nobody"))
    assert next(states).status == UNKNOWN
    states.cancel()


def test_a_tool_finds_services_and_messages_by_reflection(channel):
    found = ProtoReflectionDescriptorDatabase(channel)
    assert {SERVICE, "grpc.health.v1.Health"} <= set(found.get_services())
    pool = DescriptorPool(found)
    method = pool.FindServiceByName(SERVICE).FindMethodByName("ModelReady")
    ask = channel.unary_unary(
        f"/{SERVICE}/ModelReady",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    assert ask(GetMessageClass(method.input_type)(name="echo")).ready
    assert pool.FindServiceByName("grpc.health.v1.Health").FindMethodByName("Check")
