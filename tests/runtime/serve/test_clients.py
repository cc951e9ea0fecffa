"""The clients that people have, over HTTP and gRPC, blocking and asynchronous, work unchanged and get the same."""

import asyncio
import inspect

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from tritonclient.utils import InferenceServerException

from chrion_runtime.serve.protocol.datatypes import DTYPES
from tests.support.datatypes import VALUES

MODULES = {
    "http": tritonclient.http,
    "http, asynchronous": tritonclient.http.aio,
    "grpc": tritonclient.grpc,
    "grpc, asynchronous": tritonclient.grpc.aio,
}


class Client:
    """One of Triton's clients, called in the same way whether or not it is asynchronous."""

    def __init__(self, module, where):
        self.module = module
        self.grpc = "grpc" in module.__name__
        self._runner = asyncio.Runner()
        self._url = where.grpc_address if self.grpc else where.url.removeprefix("http://")
        self._client = self._runner.run(self._made())

    async def _made(self):
        return self.module.InferenceServerClient(self._url)

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def call(*arguments, **options):
            answer = method(*arguments, **options)
            return self._runner.run(answer) if inspect.iscoroutine(answer) else answer

        return call

    def tensor(self, name, array):
        tensor = self.module.InferInput(name, list(array.shape), name)
        tensor.set_data_from_numpy(array)
        return tensor

    def data(self, message):
        """A message of either protocol as plain data."""
        if not self.grpc:
            return message
        return self._json(message)

    def _json(self, message):
        from google.protobuf.json_format import MessageToDict

        return MessageToDict(message, preserving_proto_field_name=True)

    def end(self):
        self.close()
        self._runner.close()


@pytest.fixture
def server(serving, echo):
    with serving(echo, grpc_port=0) as running:
        yield running


@pytest.fixture(params=MODULES)
def client(request, server):
    client = Client(MODULES[request.param], server.where)
    yield client
    client.end()


def values(rows):
    return {name: np.array([VALUES[name]] * rows, DTYPES[name]).reshape(rows, 3) for name in VALUES}


def test_server_and_model_are_described(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("echo")
    assert not client.is_model_ready("nobody")
    assert client.data(client.get_server_metadata())["name"] == "chrion"
    about = client.data(client.get_model_metadata("echo", "1"))
    assert [one["name"] for one in about["inputs"]] == list(VALUES)
    assert about["platform"] == "onnxruntime_onnx"


def test_the_configuration_is_told(client):
    config = client.data(client.get_model_config("echo"))
    config = config.get("config", config)
    assert config["name"] == "echo"
    kinds = {one["name"]: one["data_type"] for one in config["input"]}
    assert kinds == {name: "TYPE_STRING" if name == "BYTES" else f"TYPE_{name}" for name in VALUES}


def test_statistics_count_what_was_asked(client):
    arrays = values(1)
    for _ in range(3):
        client.infer("echo", [client.tensor(name, array) for name, array in arrays.items()])
    (about,) = client.data(client.get_inference_statistics("echo"))["model_stats"]
    assert (about["name"], int(about["inference_count"])) == ("echo", 3)
    success = about["inference_stats"]["success"]
    assert int(success["count"]) == 3
    assert int(success["ns"]) > 0


@pytest.mark.parametrize("rows", [1, 2, 0])
def test_every_datatype_comes_back(client, rows):
    arrays = values(rows)
    answer = client.infer("echo", [client.tensor(name, array) for name, array in arrays.items()], request_id="9")
    for name, expected in arrays.items():
        found = answer.as_numpy(name)
        if expected.dtype.hasobject:
            decoded = [text.decode() if isinstance(text, bytes) else text for text in found.ravel()]
            assert (found.shape, decoded) == (expected.shape, expected.ravel().tolist())
        else:
            np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize(
    ("model", "problem"), [("echo", 'input "BOOL": is missing'), ("nobody", 'model "nobody" is not served here')]
)
def test_errors_say_the_same(client, model, problem):
    with pytest.raises(InferenceServerException) as caught:
        client.infer(model, [client.tensor("INT8", np.zeros((1, 3), np.int8))])
    assert problem in caught.value.message()
