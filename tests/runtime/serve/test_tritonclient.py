"""Triton's client works unchanged: every datatype both ways, in binary and in JSON."""

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from chrion_runtime.serve.protocol.datatypes import DTYPES
from tests.support.datatypes import VALUES


@pytest.fixture
def client(serving, echo):
    with serving(echo) as running:
        client = triton.InferenceServerClient(running.address)
        yield client
        client.close()


def tensor(name, array, binary):
    tensor = triton.InferInput(name, array.shape, name)
    return tensor.set_data_from_numpy(array, binary_data=binary)


def values(rows):
    return {datatype: np.array([VALUES[datatype]] * rows, DTYPES[datatype]).reshape(rows, 3) for datatype in VALUES}


@pytest.mark.parametrize("rows", [1, 2, 0])
@pytest.mark.parametrize("ask_binary", [True, False, None])
@pytest.mark.parametrize("send_binary", [True, False])
def test_every_datatype_both_ways(client, rows, send_binary, ask_binary):
    arrays = values(rows)
    inputs = [tensor(name, array, send_binary or name == "FP16") for name, array in arrays.items()]
    names = [name for name in arrays if name != "FP16" or ask_binary is not False]
    names += [f"{name}_t" for name in names]
    outputs = None if ask_binary is None else [triton.InferRequestedOutput(name, ask_binary) for name in names]
    result = client.infer("echo", inputs, outputs=outputs, request_id="9")
    assert result.get_response()["id"] == "9"
    assert len(result.get_response()["outputs"]) == len(names)
    for name in names:
        expected = arrays[name[:-2]].T if name.endswith("_t") else arrays[name]
        got = result.as_numpy(name)
        if expected.dtype.hasobject:
            decoded = [text.decode() if isinstance(text, bytes) else text for text in got.ravel()]
            assert (got.shape, decoded) == (expected.shape, expected.ravel().tolist())
        else:
            np.testing.assert_array_equal(got, expected, strict=True)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compression(client, algorithm):
    inputs = [tensor(name, array, True) for name, array in values(2).items()]
    result = client.infer(
        "echo", inputs, request_compression_algorithm=algorithm, response_compression_algorithm=algorithm
    )
    np.testing.assert_array_equal(result.as_numpy("INT64"), values(2)["INT64"])


def test_the_rest_of_the_client(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("echo")
    assert client.is_model_ready("echo", "1")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["name"] == "chrion"
    assert [port["name"] for port in client.get_model_metadata("echo", "1")["inputs"]] == list(VALUES)
    config = client.get_model_config("echo")
    assert (config["name"], config["max_batch_size"]) == ("echo", 0)
    kinds = {port["name"]: port["data_type"] for port in config["input"]}
    assert kinds == {name: "TYPE_STRING" if name == "BYTES" else f"TYPE_{name}" for name in VALUES}


def test_errors_reach_the_client(client):
    with pytest.raises(InferenceServerException) as caught:
        client.infer("echo", [tensor("INT8", np.zeros((1, 1), np.int8), True)])
    assert caught.value.status() == "400"
    assert caught.value.message() == 'input "BOOL": is missing'
    with pytest.raises(InferenceServerException, match="is not served here"):
        client.infer("other", [])
    with pytest.raises(InferenceServerException, match="classification is not supported"):
        client.infer("echo", [], outputs=[triton.InferRequestedOutput("INT8", class_count=2)])
    shared = triton.InferInput("INT8", [1, 1], "INT8")
    shared.set_shared_memory("region", 1)
    with pytest.raises(InferenceServerException, match="shared memory is not supported"):
        client.infer("echo", [shared])


def test_text_that_is_not_utf8(client):
    array = np.array([[b"fine", b"\xff\xfe"]], object)
    with pytest.raises(InferenceServerException, match='input "BYTES": element 1 is not valid UTF-8'):
        client.infer("echo", [tensor("BYTES", array, True)])
