"""Triton's gRPC client works unchanged: every datatype, raw and typed, and all the rest of its requests."""

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from chrion_runtime.serve.grpc.contents import FIELDS
from chrion_runtime.serve.grpc.messages import CLASSES, POOL, SERVICE
from chrion_runtime.serve.protocol.datatypes import DTYPES
from tests.support import datatypes

VALUES = datatypes.VALUES | {
    "FP16": [-65504, 6e-8, np.inf],
    "FP32": [-3.4e38, np.nan, 0.1],
    "FP64": [-1.7e308, -np.inf, 0.1],
}
"""What is no number has no form in JSON, but one here."""


@pytest.fixture
def server(serving, echo):
    with serving(echo, grpc_port=0, large_json=100_000) as running:
        yield running


@pytest.fixture
def client(server):
    with triton.InferenceServerClient(server.where.grpc_address) as client:
        yield client


@pytest.fixture
def stub(server):
    """The calls as gRPC's own client makes them, with messages put together by hand."""
    with grpc.insecure_channel(server.where.grpc_address) as channel:
        yield channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=service_pb2.ModelInferRequest.SerializeToString,
            response_deserializer=service_pb2.ModelInferResponse.FromString,
        )


def tensor(name, array):
    return triton.InferInput(name, array.shape, name).set_data_from_numpy(array)


def values(rows, repeat=1):
    return {
        datatype: np.array([VALUES[datatype] * repeat] * rows, DTYPES[datatype]).reshape(rows, 3 * repeat)
        for datatype in VALUES
    }


def same(found, expected):
    if expected.dtype.hasobject:
        decoded = [text.decode() if isinstance(text, bytes) else text for text in found.ravel()]
        assert (found.shape, decoded) == (expected.shape, expected.ravel().tolist())
    else:
        np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("rows", [1, 2, 0])
def test_every_datatype_raw(client, rows):
    arrays = values(rows)
    result = client.infer("echo", [tensor(name, array) for name, array in arrays.items()], request_id="9")
    response = result.get_response()
    assert (response.model_name, response.model_version, response.id) == ("echo", "1", "9")
    assert len(response.outputs) == len(response.raw_output_contents) == 2 * len(VALUES)
    for name, array in arrays.items():
        same(result.as_numpy(name), array)
        same(result.as_numpy(f"{name}_t"), array.T)


def typed(arrays, outputs=()):
    """A request with typed values; FP16, which has none, is left out."""
    request = service_pb2.ModelInferRequest(model_name="echo", id="me")
    for name, array in arrays.items():
        one = request.inputs.add(name=name, datatype=name, shape=array.shape)
        one.contents.SetInParent()
        flat = array.ravel().tolist()
        getattr(one.contents, FIELDS[name]).extend([v.encode() for v in flat] if name == "BYTES" else flat)
    request.outputs.extend(service_pb2.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in outputs)
    return request


@pytest.fixture
def echo_typed(make_model):
    kinds = {datatype: (datatype, (None, None)) for datatype in FIELDS}
    more = {"half": ("FP16", (None,))}
    return make_model(lambda **inputs: inputs | {"half": np.ones(1, np.float16)}, kinds, kinds | more, name="echo")


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("rows", [1, 2, 0])
def test_every_datatype_typed(serving, echo_typed, rows, large):
    """Typed values are answered with typed values; many of them are read and written in another process."""
    arrays = {name: array for name, array in values(rows, 2_000 if large else 1).items() if name in FIELDS}
    with (
        serving(echo_typed, grpc_port=0, large_json=10_000) as running,
        grpc.insecure_channel(running.where.grpc_address) as channel,
    ):
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            service_pb2.ModelInferRequest.SerializeToString,
            service_pb2.ModelInferResponse.FromString,
        )
        response = call(typed(arrays, arrays))
        assert bool(running.registry.codec.workers) == (large and rows > 0)
        assert (response.id, list(response.raw_output_contents)) == ("me", [])
        assert [output.name for output in response.outputs] == list(arrays)
        for output in response.outputs:
            found = list(getattr(output.contents, FIELDS[output.name]))
            same(np.array(found, arrays[output.name].dtype).reshape(output.shape), arrays[output.name])
        # One output has no typed form: then all are raw.
        half = triton.InferResult(call(typed(arrays)))
        assert len(half.get_response().raw_output_contents) == len(FIELDS) + 1
        same(half.as_numpy("half"), np.ones(1, np.float16))
        same(half.as_numpy("INT8"), arrays["INT8"])


def test_many_strings_are_read_in_another_process(server, client):
    arrays = values(1, repeat=20_000)
    result = client.infer("echo", [tensor(name, array) for name, array in arrays.items()])
    assert server.registry.codec.workers
    same(result.as_numpy("BYTES"), arrays["BYTES"])


def test_requested_outputs_and_their_order(client):
    inputs = [tensor(name, array) for name, array in values(1).items()]
    names = ["INT8_t", "FP16", "BYTES"]
    result = client.infer("echo", inputs, outputs=[triton.InferRequestedOutput(name) for name in names])
    assert [output.name for output in result.get_response().outputs] == names


def test_the_rest_of_the_client(server, client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("echo")
    assert client.is_model_ready("echo", "1")
    assert not client.is_model_ready("other")
    with pytest.raises(InferenceServerException, match=r'\[StatusCode.NOT_FOUND\] model "other" is not served here'):
        client.get_model_metadata("other")
    with pytest.raises(InferenceServerException, match='has no version "2"; it has version 1'):
        client.get_model_metadata("echo", "2")
    metadata = client.get_server_metadata()
    assert metadata.name == "chrion"
    assert {"binary_tensor_data", "sequence", "statistics"} <= set(metadata.extensions)
    model = client.get_model_metadata("echo", "1")
    assert (model.name, list(model.versions), model.platform) == ("echo", ["1"], "onnxruntime_onnx")
    assert [(port.name, port.datatype, list(port.shape)) for port in model.inputs] == [
        (name, name, [-1, -1]) for name in VALUES
    ]
    with pytest.raises(InferenceServerException, match="UNIMPLEMENTED"):
        client.get_trace_settings()
    assert [one.name for one in client.get_inference_statistics().model_stats] == ["echo"]
    running = server.registry
    running.draining = True
    assert client.is_server_live()
    assert not client.is_server_ready()
    assert not client.is_model_ready("echo")


def test_counted_like_the_others(server, client, http):
    inputs = [tensor(name, array) for name, array in values(1).items()]
    client.infer("echo", inputs)
    with pytest.raises(InferenceServerException):
        client.infer("echo", inputs[:1])
    text = http("GET", server.where.metrics_url).body.decode()
    assert 'chrion_request_seconds_count{model="echo",outcome="ok"} 1.0' in text
    assert 'chrion_request_seconds_count{model="echo",outcome="refused"} 1.0' in text
    assert 'chrion_errors_total{model="echo",reason="bad_request"} 1.0' in text
    assert 'chrion_requests_in_flight{model="echo"} 0.0' in text
    assert server.registry.bodies.held == 0


def refused(client, *arguments, **options):
    with pytest.raises(InferenceServerException) as caught:
        client.infer(*arguments, **options)
    return caught.value.status().removeprefix("StatusCode."), caught.value.message()


def test_errors_reach_the_client(client):
    one = tensor("INT8", np.zeros((1, 1), np.int8))
    assert refused(client, "echo", [one]) == ("INVALID_ARGUMENT", 'input "BOOL": is missing')
    assert refused(client, "echo", [one, one]) == ("INVALID_ARGUMENT", 'input "INT8": is given twice')
    assert refused(client, "other", [])[0] == "NOT_FOUND"
    assert refused(client, "echo", [], model_version="2")[0] == "NOT_FOUND"
    twice = [triton.InferRequestedOutput("INT8")] * 2
    assert refused(client, "echo", [], outputs=twice)[1] == 'output "INT8": is requested twice'
    classes = [triton.InferRequestedOutput("INT8", class_count=2)]
    assert "classification is not supported" in refused(client, "echo", [], outputs=classes)[1]
    shared = triton.InferInput("INT8", [1, 1], "INT8")
    shared.set_shared_memory("region", 1)
    assert "shared memory is not supported" in refused(client, "echo", [shared])[1]
    text = tensor("BYTES", np.array([[b"fine", b"\xff\xfe"]], object))
    assert refused(client, "echo", [text]) == ("INVALID_ARGUMENT", 'input "BYTES": element 1 is not valid UTF-8')
    inputs = [tensor(name, array) for name, array in values(1).items()]
    assert refused(client, "echo", inputs, timeout=-1)[1] == "parameters: timeout must be a number of microseconds"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": [1, -1]}, "dimension -1 in shape is negative"),
        ({"shape": [1, 2**62, 4]}, "has 3 dimensions, but the model takes 2"),
        ({"shape": [2**32, 2**32]}, "is too large"),
        ({"shape": [1] * 65}, "shape has 65 dimensions; at most 64"),
        ({"datatype": "FP32"}, "datatype is FP32, but the model takes INT8"),
        ({"datatype": "INT9"}, "is not a datatype"),
        ({"name": "nothing"}, "the model has no such input"),
        ({"int_contents": [1, 2, 3]}, "int_contents has 3 values, but shape [1, 2] needs 2"),
        ({"int_contents": [1, 128]}, "value 1 is 128, out of range for int8"),
        ({"int64_contents": [1, 2]}, "int64_contents is set, but INT8 belongs in int_contents"),
        ({"int_contents": [1, 2], "raw": [b"12"]}, "give contents or raw_input_contents, not both"),
        ({"raw": [b"12", b"34"]}, "raw_input_contents holds 2 tensors, but inputs lists 1"),
        ({"raw": [b"1"]}, "its binary data is 1 bytes, but shape [1, 2] of int8 needs 2"),
    ],
)
def test_bad_tensors(stub, changes, words):
    request = service_pb2.ModelInferRequest(model_name="echo", raw_input_contents=changes.pop("raw", []))
    fields = {"name": "INT8", "datatype": "INT8", "shape": [1, 2]} | changes
    one = request.inputs.add(**{name: fields[name] for name in ("name", "datatype", "shape")})
    for name in fields.keys() - {"name", "datatype", "shape"}:
        getattr(one.contents, name).extend(fields[name])
    with pytest.raises(grpc.RpcError) as caught:
        stub(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in caught.value.details()


def test_half_has_no_typed_values(stub):
    request = service_pb2.ModelInferRequest(model_name="echo")
    request.inputs.add(name="FP16", datatype="FP16", shape=[1, 1]).contents.fp32_contents.append(1)
    with pytest.raises(grpc.RpcError) as caught:
        stub(request)
    assert caught.value.details() == 'input "FP16": FP16 has no field in contents: send it in raw_input_contents'


def test_the_messages_are_the_public_ones():
    """Field by field as in Triton's, which has further ones of its own."""
    compared = set()

    def compare(ours, theirs):
        if ours.name in compared:
            return
        compared.add(ours.name)
        for field in ours.fields:
            known = theirs.fields_by_number[field.number]
            assert (field.name, field.type, field.is_repeated) == (known.name, known.type, known.is_repeated), ours.name
            choices = [one.containing_oneof and one.containing_oneof.name for one in (field, known)]
            assert choices[0] == choices[1], ours.name
            if field.message_type is not None:
                compare(field.message_type, known.message_type)
            if field.enum_type is not None:
                values = [{one.name: one.number for one in kind.values} for kind in (field.enum_type, known.enum_type)]
                assert values[0] == values[1]

    service = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    for method in POOL.FindServiceByName(SERVICE).methods:
        theirs = service.methods_by_name[method.name]
        compare(method.input_type, theirs.input_type)
        compare(method.output_type, theirs.output_type)
        streams = [(one.client_streaming, one.server_streaming) for one in (method, theirs)]
        assert streams[0] == streams[1], method.name
    assert compared == set(CLASSES)
