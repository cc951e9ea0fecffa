"""Requests and answers without a server: what is read and written, and everything that is refused."""

import json

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrion_api import ChrionError
from chrion_runtime.errors import RuntimeFailure
from chrion_runtime.servable import TensorSpec
from chrion_runtime.serve.protocol import Signature, read_request, write_answer
from chrion_runtime.serve.protocol.datatypes import DTYPES
from chrion_runtime.serve.protocol.errors import STATUSES, AnswerFailed, BadRequest, ProtocolError


def spec(name, datatype="FP32", shape=(None, 2)):
    return TensorSpec(name, DTYPES[datatype], shape)


SIGNATURE = Signature([spec("x"), spec("n", "INT8", (None,))], [spec("y"), spec("z", "INT64", None)])


def x_input(**changes):
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.5, 2]} | changes
    return {key: value for key, value in tensor.items() if value is not ...}


def n_input(**changes):
    return {"name": "n", "datatype": "INT8", "shape": [2], "data": [3, -4]} | changes


def document(x=None, n=None, **rest):
    return {"inputs": [x or x_input(), n or n_input()], **rest}


def read(value, binary=b"", header_length=..., signature=SIGNATURE):
    header = value if isinstance(value, bytes) else json.dumps(value).encode()
    if header_length is ...:
        header_length = str(len(header)) if binary else None
    return read_request(header + binary, header_length, signature)


def test_reads_json():
    request = read(document(id="42"))
    assert request.id == "42"
    assert request.inputs["x"].dtype == np.float32
    assert request.inputs["x"].tolist() == [[1.5, 2.0]]
    assert request.inputs["n"].tolist() == [3, -4]
    assert [(output.name, output.binary) for output in request.outputs] == [("y", False), ("z", False)]


def test_reads_json_and_binary_in_the_order_of_the_inputs():
    body = np.arange(4, dtype="<f4").tobytes()
    request = read({"inputs": [n_input(), x_input(shape=[2, 2], data=..., parameters={"binary_data_size": 16})]}, body)
    assert request.inputs["x"].tolist() == [[0, 1], [2, 3]]
    assert request.inputs["n"].tolist() == [3, -4]


@pytest.mark.parametrize(
    ("outputs", "parameters", "expected"),
    [
        (None, {}, [("y", False), ("z", False)]),
        (None, {"binary_data_output": True}, [("y", True), ("z", True)]),
        ([], {"binary_data_output": True}, [("y", True), ("z", True)]),
        ([{"name": "z"}], {}, [("z", False)]),
        ([{"name": "z"}, {"name": "y", "parameters": {"binary_data": True}}], {}, [("z", False), ("y", True)]),
        ([{"name": "y", "parameters": {"binary_data": False}}], {"binary_data_output": True}, [("y", False)]),
        ([{"name": "y", "parameters": {"ours": 1}}], {"sequence_id": 7, "priority": 1}, [("y", False)]),
    ],
)
def test_requested_outputs(outputs, parameters, expected):
    request = read(document(outputs=outputs, parameters=parameters))
    assert [(output.name, output.binary) for output in request.outputs] == expected


BINARY_X = {"data": ..., "parameters": {"binary_data_size": 8}}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"inputs": [NaN]}', "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[" * 5000, "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b"7", "not a JSON object"),
        ({}, "inputs: is missing"),
        ({"inputs": {}}, "inputs: is missing or not a list"),
        ({"inputs": [1]}, "inputs: is missing or not a list of objects"),
        ({"inputs": []}, 'input "x": is missing'),
        ({"inputs": [x_input()]}, 'input "n": is missing'),
        ({"inputs": [{}]}, "inputs: one of them has no name"),
        ({"inputs": [x_input(), x_input(), n_input()]}, 'input "x": is given twice'),
        (document(x_input(name="w")), 'input "w": the model has no such input; it has "x", "n"'),
        (document(x_input(name=3)), "inputs: one of them has no name"),
        (document(x_input(datatype="FP64")), 'input "x": datatype is FP64, but the model takes FP32'),
        (document(x_input(datatype="float")), "'float' is not a datatype"),
        (document(x_input(datatype=...)), "datatype is missing"),
        (document(x_input(shape=...)), "shape is missing"),
        (document(x_input(shape=[1, 2.0])), "shape is missing or not a list of integers"),
        (document(x_input(shape=[True, 2])), "shape is missing or not a list of integers"),
        (document(x_input(shape=[2])), "shape [2] has 1 dimensions, but the model takes 2: [-1, 2]"),
        (document(x_input(shape=[1] * 65)), "at most 64"),
        (document(x_input(shape=[1, 3])), "dimension 1 of shape [1, 3] is 3, but the model takes [-1, 2]"),
        (document(x_input(shape=[-1, 2])), "dimension -1 in shape is negative"),
        (document(x_input(shape=[2**63, 2])), "in shape is negative"),
        (document(x_input(shape=[2**62, 2])), "is too large"),
        (document(x_input(shape=[10**12, 2])), "data has 2 values, but shape [1000000000000, 2] needs 2000000000000"),
        (document(x_input(data=[1.0])), "data has 1 values, but shape [1, 2] needs 2"),
        (document(x_input(data=[1, 2, 3])), "data has 3 values"),
        (document(x_input(data=[[1], [2]])), "nested data does not follow shape [1, 2]"),
        (document(x_input(data=[[1, 2], 3])), "nested data does not follow"),
        (document(x_input(data=[[[1], [2]]])), "nested deeper than shape [1, 2]"),
        (document(x_input(data=[1, [2]])), "value 1 is a list, not a number"),
        (document(x_input(data=[1, None])), "value 1 is null, not a number"),
        (document(x_input(data=["1", 2])), "value 0 is '1', not a number"),
        (document(x_input(data=[True, 2])), "value 0 is true, not a number"),
        (document(x_input(data=[1, {}])), "value 1 is an object, not a number"),
        (document(x_input(data=[1, 1e39])), "value 1 is 1e+39, out of range for float32"),
        (document(x_input(data="abc")), "data must be a list"),
        (document(x_input(data=...)), "has neither data nor parameters.binary_data_size"),
        (document(x_input(parameters=[])), "parameters must be an object"),
        (document(x_input(parameters={"binary_data_size": 8})), "has both data and"),
        (document(x_input(**BINARY_X)), "binary_data_size needs the header Inference-Header-Content-Length"),
        (document(n=n_input(data=[1, 128])), "value 1 is 128, out of range for int8"),
        (document(n=n_input(data=[-129, 1])), "value 0 is -129, out of range for int8"),
        (document(n=n_input(data=[1, 1.0])), "value 1 is 1.0, not an integer"),
        (document(n=n_input(data=[1, 2**70])), "not an integer"),
        (document(id=7), "id: must be a string"),
        (document(parameters=3), "parameters: parameters must be an object"),
        (document(parameters={"binary_data_output": 1}), "binary_data_output must be true or false"),
        (document(outputs={}), "outputs: is missing or not a list of objects"),
        (document(outputs=[{"name": "q"}]), 'output "q": the model has no such output; it has "y", "z"'),
        (document(outputs=[{"name": "y"}, {"name": "y"}]), 'output "y": is requested twice'),
        (document(outputs=[{"name": "y", "parameters": {"binary_data": "yes"}}]), "must be true or false"),
        (
            document(outputs=[{"name": "y", "parameters": {"classification": 3}}]),
            'output "y": classification is not supported; leave out the parameter classification',
        ),
        (
            document(outputs=[{"name": "y", "parameters": {"shared_memory_region": "r"}}]),
            'output "y": shared memory is not supported',
        ),
        (
            document(x_input(parameters={"shared_memory_region": "r", "shared_memory_byte_size": 8})),
            'input "x": shared memory is not supported',
        ),
    ],
)
def test_refuses(value, problem):
    with pytest.raises(BadRequest) as caught:
        read(value)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("size", "binary", "problem"),
    [
        (8, bytes(7), "binary_data_size is 8, but 7 bytes are left in the body"),
        (8, bytes(9), "1 bytes are left over after the last binary input"),
        (7, bytes(7), "its binary data is 7 bytes, but shape [1, 2] of float32 needs 8"),
        (9, bytes(9), "its binary data is 9 bytes, but shape [1, 2] of float32 needs 8"),
        (-1, bytes(8), "must be a number of bytes"),
        (8.0, bytes(8), "must be a number of bytes"),
        ("8", bytes(8), "must be a number of bytes"),
        (True, bytes(8), "must be a number of bytes"),
        (2**70, bytes(8), "must be a number of bytes"),
    ],
)
def test_refuses_binary(size, binary, problem):
    with pytest.raises(BadRequest) as caught:
        read(document(x_input(data=..., parameters={"binary_data_size": size})), binary)
    assert problem in str(caught.value)


@pytest.mark.parametrize("length", ["-1", "abc", "", "1e3", "²", "9" * 5000, "1_0"])
def test_refuses_header_lengths(length):
    with pytest.raises(BadRequest, match="is not a length"):
        read(document(), header_length=length)


def test_refuses_a_header_longer_than_the_body():
    with pytest.raises(BadRequest, match="is 100000, but the body has"):
        read(document(), header_length="100000")


def test_refuses_trailing_bytes_without_binary_inputs():
    with pytest.raises(BadRequest, match="3 bytes are left over"):
        read(document(), b"abc")


def test_fp16_has_no_json_form():
    with pytest.raises(BadRequest, match=r'input "h": FP16 has no JSON form: send it as binary data'):
        read(
            {"inputs": [{"name": "h", "datatype": "FP16", "shape": [1], "data": [1]}]},
            signature=Signature([spec("h", "FP16", (None,))], []),
        )
    signature = Signature([], [spec("h", "FP16", (None,))])
    with pytest.raises(BadRequest, match=r'output "h": FP16 has no JSON form: ask for it as binary data'):
        read({"inputs": []}, signature=signature)
    assert read({"inputs": [], "parameters": {"binary_data_output": True}}, signature=signature).outputs[0].binary


def test_strings_in_json_are_strings():
    signature = Signature([spec("s", "BYTES", (None,))], [])
    tensor = {"name": "s", "datatype": "BYTES", "shape": [2]}
    assert read({"inputs": [tensor | {"data": ["é", ""]}]}, signature=signature).inputs["s"].tolist() == ["é", ""]
    with pytest.raises(BadRequest, match="value 1 is 7, not a string"):
        read({"inputs": [tensor | {"data": ["a", 7]}]}, signature=signature)


def answer(results, signature=SIGNATURE, **rest):
    inputs = [x_input(), n_input()] if signature is SIGNATURE else []
    return write_answer("m", read({"inputs": inputs, **rest}, signature=signature), results)


RESULTS = {"y": np.array([[1.5, -2]], np.float32), "z": np.arange(3)}


def test_writes_json():
    written = answer(RESULTS, id="a")
    assert written.header_length is None
    assert orjson.loads(written.body) == {
        "model_name": "m",
        "model_version": "1",
        "id": "a",
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1.5, -2.0]},
            {"name": "z", "datatype": "INT64", "shape": [3], "data": [0, 1, 2]},
        ],
    }


def test_writes_binary_behind_json():
    outputs = [{"name": "z", "parameters": {"binary_data": True}}, {"name": "y"}]
    written = answer(RESULTS, outputs=outputs)
    header = orjson.loads(written.body[: written.header_length])
    assert "id" not in header
    assert header["outputs"] == [
        {"name": "z", "datatype": "INT64", "shape": [3], "parameters": {"binary_data_size": 24}},
        {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1.5, -2.0]},
    ]
    assert written.body[written.header_length :] == np.arange(3).tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_json_cannot_carry(value):
    results = RESULTS | {"y": np.array([[1, value]], np.float32)}
    with pytest.raises(BadRequest, match='output "y": the answer holds NaN or infinity'):
        answer(results)
    assert answer(results, parameters={"binary_data_output": True}).header_length


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.zeros(2, np.complex64), 'output "y": the inference protocol has no datatype for complex64'),
        (np.array([b"bytes"], object), 'output "y": element 0 is bytes, not text'),
        (np.array(["\ud800"], object), "no UTF-8 form|no JSON form"),
        (None, 'output "y": the model did not return this output'),
    ],
)
def test_answers_without_a_form(array, problem, binary):
    with pytest.raises(AnswerFailed, match=problem) as caught:
        answer({"y": array}, outputs=[{"name": "y"}], parameters={"binary_data_output": binary})
    assert caught.value.status == 500


def test_a_model_that_the_protocol_cannot_speak_of():
    with pytest.raises(RuntimeFailure, match='input "c" has the element type complex64'):
        Signature([TensorSpec("c", np.dtype("complex64"), ())], [])


def test_open_rank_takes_any_shape():
    signature = Signature([spec("x", shape=None)], [])
    for shape in ([], [1], [1, 1, 1]):
        tensor = {"name": "x", "datatype": "FP32", "shape": shape, "data": [3]}
        assert read({"inputs": [tensor]}, signature=signature).inputs["x"].shape == tuple(shape)
    tensor = {"name": "x", "datatype": "FP32", "shape": [0, 2**60, 2**60], "data": []}
    with pytest.raises(BadRequest, match="too large"):
        read({"inputs": [tensor]}, signature=signature)


def test_every_error_is_a_chrion_error_with_a_status():
    def tree(kind):
        return {kind} | {below for child in kind.__subclasses__() for below in tree(child)}

    statuses = {kind.status for kind in tree(ProtocolError)} | set(STATUSES.values())
    assert statuses == {400, 401, 404, 408, 409, 413, 415, 500, 503, 504}
    assert issubclass(ProtocolError, ChrionError)


@given(st.binary(max_size=80), st.none() | st.integers(0, 90).map(str))
def test_no_bytes_do_worse_than_a_bad_request(body, header_length):
    with pytest.raises(BadRequest):
        read_request(body, header_length, SIGNATURE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["name", "datatype", "shape", "data", "parameters"]), JSON)
def test_no_field_does_worse_than_a_bad_request(field, value):
    try:
        text = orjson.dumps(document(x_input(**{field: value})))
    except orjson.JSONEncodeError:
        return
    try:
        request = read(text)
    except BadRequest:
        return
    assert request.inputs["x"].dtype == np.float32
    assert request.inputs["x"].shape[1:] == (2,)
