"""Every endpoint, and every error as an object with the one key `error`."""

import gzip
import zlib

import numpy as np
import orjson
import pytest

from chrion_runtime.errors import RunError, RuntimeFailure
from chrion_runtime.serve.models.registry import ModelRegistry
from chrion_runtime.serve.options import ServerOptions

X = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}


@pytest.fixture
def server(serving, add):
    with serving(add, body_limit=10_000) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/add/ready", {"name": "add", "ready": True}),
        ("/v2/models/add/versions/1/ready", {"name": "add", "ready": True}),
        ("/v2/models/add/plan", {"plan": "all on one lane"}),
        ("/v2/models/add/versions/1/plan", {"plan": "all on one lane"}),
    ],
)
def test_what_can_be_asked(server, http, path, expected):
    answer = http("GET", server.where.url + path)
    assert (answer.status, answer.json) == (200, expected)
    assert answer.headers["Content-Type"] == "application/json"


def test_server_metadata(server, http):
    answer = http("GET", f"{server.where.url}/v2").json
    assert answer["name"] == "chrion"
    assert answer["version"]
    assert "binary_tensor_data" in answer["extensions"]


@pytest.mark.parametrize("path", ["/v2/models/add", "/v2/models/add/versions/1"])
def test_model_metadata(server, http, path):
    assert http("GET", server.where.url + path).json == {
        "name": "add",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [-1, 2]},
            {"name": "total", "datatype": "FP32", "shape": [-1]},
        ],
    }


@pytest.mark.parametrize("path", ["/v2/models/add/infer", "/v2/models/add/versions/1/infer"])
def test_infer_with_json(server, http, path):
    answer = http("POST", server.where.url + path, json={"id": "7", "inputs": [X]})
    assert answer.status == 200
    assert answer.json == {
        "model_name": "add",
        "model_version": "1",
        "id": "7",
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [2.0, 3.0]},
            {"name": "total", "datatype": "FP32", "shape": [1], "data": [3.0]},
        ],
    }


def test_infer_with_binary_tensors(server, http):
    header = orjson.dumps(
        {
            "inputs": [
                {"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}},
            ],
            "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
        }
    )
    answer = http(
        "POST",
        f"{server.where.url}/v2/models/add/infer",
        data=header + np.array([5, 6], np.float32).tobytes(),
        headers={"Inference-Header-Content-Length": str(len(header))},
    )
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/octet-stream"
    size = int(answer.headers["Inference-Header-Content-Length"])
    assert orjson.loads(answer.body[:size])["outputs"][0]["parameters"] == {"binary_data_size": 8}
    assert np.frombuffer(answer.body[size:], np.float32).tolist() == [6, 7]


@pytest.mark.parametrize(
    ("method", "path", "status", "problem"),
    [
        ("GET", "/", 404, "Not Found"),
        ("GET", "/v2/models", 404, "Not Found"),
        ("GET", "/v2/models/sub", 404, 'model "sub" is not served here'),
        ("GET", "/v2/models/sub/ready", 404, 'model "sub" is not served'),
        ("GET", "/v2/models/sub/plan", 404, 'model "sub" is not served'),
        ("POST", "/v2/models/sub/infer", 404, 'model "sub" is not served'),
        ("GET", "/v2/models/add/versions/2", 404, 'model "add" has no version "2"; it has version 1'),
        ("POST", "/v2/models/add/versions/2/infer", 404, 'has no version "2"'),
        ("GET", "/v2/models/add/infer", 405, "Method Not Allowed"),
        ("POST", "/v2/health/live", 405, "Method Not Allowed"),
        ("POST", "/v2/models/add/infer", 400, "not valid JSON"),
    ],
)
def test_errors(server, http, method, path, status, problem):
    answer = http(method, server.where.url + path)
    assert answer.status == status
    assert set(answer.json) == {"error"}
    assert problem in answer.json["error"]
    if status == 405:
        assert answer.headers["Allow"]


@pytest.mark.parametrize(
    ("options", "status", "problem"),
    [
        ({"json": {"inputs": [X | {"name": "w"}]}}, 400, 'input "w": the model has no such input'),
        ({"data": b"x" * 10_001}, 413, "exceeds the limit of 10000 bytes: send less or raise it with --max-body"),
        ({"data": gzip.compress(bytes(10_001)), "headers": {"Content-Encoding": "gzip"}}, 413, "limit of 10000 bytes"),
        ({"data": b"abc", "headers": {"Content-Encoding": "gzip"}}, 400, "not valid gzip"),
        ({"data": b"abc", "headers": {"Content-Encoding": "br"}}, 415, "use gzip, deflate or none"),
        ({"data": b"{}", "headers": {"Inference-Header-Content-Length": "9"}}, 400, "is 9, but the body has 2 bytes"),
    ],
)
def test_bodies_that_are_refused(server, http, add, options, status, problem):
    options.setdefault("headers", {}).setdefault("Content-Type", "application/json")
    answer = http("POST", f"{server.where.url}/v2/models/add/infer", **options)
    assert answer.status == status
    assert problem in answer.json["error"]
    assert add.runs == 0


def test_a_body_of_unknown_length_is_limited_too(server, http):
    async def chunks():
        for _ in range(11):
            yield bytes(1000)

    answer = http("POST", f"{server.where.url}/v2/models/add/infer", data=chunks())
    assert answer.status == 413


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_bodies(server, http, encoding, compress):
    answer = http(
        "POST",
        f"{server.where.url}/v2/models/add/infer",
        data=compress(orjson.dumps({"inputs": [X]})),
        headers={"Content-Encoding": encoding},
    )
    assert answer.json["outputs"][0]["data"] == [2.0, 3.0]


def test_a_model_that_fails(serving, make_model, http, caplog):
    def function(x):
        if x[0] == 0:
            raise RunError("node 3 (Gather): index 0 is out of range")
        if x[0] == 1:
            raise ZeroDivisionError("secret")
        return {"y": x + np.nan if x[0] == 2 else x}

    model = make_model(function, {"x": ("FP32", (None,))}, {"y": ("FP32", (None,))})
    with serving(model) as running:

        def infer(value):
            tensor = {"name": "x", "datatype": "FP32", "shape": [1], "data": [value]}
            return http("POST", f"{running.where.url}/v2/models/m/infer", json={"inputs": [tensor]})

        answer = infer(0)
        assert (answer.status, answer.json) == (500, {"error": "node 3 (Gather): index 0 is out of range"})
        answer = infer(1)
        assert (answer.status, answer.json) == (500, {"error": "internal error: see the server's log"})
        assert "ZeroDivisionError: secret" in caplog.text
        answer = infer(2)
        assert answer.status == 400
        assert "NaN" in answer.json["error"]
        assert infer(3).status == 200


def test_models_that_cannot_be_served_together(add, make_model):
    with pytest.raises(RuntimeFailure, match='two models are named "add"'):
        ModelRegistry([add, add], ServerOptions())


@pytest.mark.parametrize("name", ["a/b", "", ".", "..", "a\nb"])
def test_names_that_no_path_can_hold_are_refused_at_the_start(make_model, name):
    model = make_model(lambda: {"one": np.int8([1])}, {}, {"one": ("INT8", (1,))}, name=name)
    with pytest.raises(RuntimeFailure, match="choose another name"):
        ModelRegistry([model], ServerOptions())


def test_names_that_need_escaping_are_served(serving, make_model, http):
    model = make_model(lambda: {"one": np.int8([1])}, {}, {"one": ("INT8", (1,))}, name="größte Zahl")
    with serving(model) as running:
        answer = http("POST", f"{running.where.url}/v2/models/gr%C3%B6%C3%9Fte%20Zahl/infer", json={"inputs": []})
        assert answer.json["model_name"] == "größte Zahl"


def test_two_models(serving, add, make_model, http):
    other = make_model(lambda: {"one": np.int8([1])}, {}, {"one": ("INT8", (1,))}, name="one")
    with serving(add, other) as running:
        answer = http("POST", f"{running.where.url}/v2/models/one/infer", json={"inputs": []})
        assert answer.json["outputs"] == [{"name": "one", "datatype": "INT8", "shape": [1], "data": [1]}]
        answer = http("POST", f"{running.where.url}/v2/models/add/infer", json={"inputs": [X]})
        assert answer.status == 200
