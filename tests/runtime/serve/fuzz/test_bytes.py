"""Requests that are wrong in every way: 4xx with the reason, never a 500, never a hang, and the server goes on."""

import gzip
import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.served import BODY_LIMIT

QUICK = settings(derandomize=True, max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=4000, deadline=None, suppress_health_check=list(HealthCheck))

FLAT = {"d": "FP64", "i": "INT64", "u": "UINT8", "b": "BOOL", "s": "BYTES"}
KINDS = {
    "types": {"x": ("FP32", 2), **{name: (datatype, 1) for name, datatype in FLAT.items()}},
    "picky": {"x": ("FP32", 1), "y": ("FP32", 1), "i": ("INT64", 1)},
    "half": {"h": ("FP16", 1)},
    "lstm": {"input": ("FP32", 3)},
}
"""Datatype and rank of every input."""
OUTPUTS = {"types": ["x1", "s1"], "picky": ["sum", "picked"], "half": ["h1"], "lstm": ["output"]}
ITEMS = {"FP32": 4, "FP64": 8, "INT64": 8, "UINT8": 1, "BOOL": 1, "FP16": 2}

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers(-3, 3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
sizes = st.one_of(st.integers(0, 3), st.sampled_from([-1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64]))
values = st.one_of(st.integers(-2, 2), st.floats(), st.sampled_from([1e308, 2**63, -(2**63), True, None, "a", [1], {}]))


@st.composite
def tensors(draw, model):
    """An input that is right, or nearly so, and the bytes behind the JSON that it asks for."""
    name = draw(st.sampled_from([*KINDS[model], "nobody"]))
    datatype, rank = KINDS[model].get(name, ("FP32", 1))
    datatype = draw(st.sampled_from([datatype] * 8 + ["FP16", "BYTES", "STRING", ""]))
    shape = [3 if model == "types" and rank == 2 and axis else 1 for axis in range(rank)]
    if model == "lstm":
        shape = [3, 1, 4]
    if draw(st.booleans()):
        shape = draw(st.lists(sizes, max_size=4) | odd)
    count = int(np.prod([size for size in shape if type(size) is int], dtype=object)) if isinstance(shape, list) else 1
    count = count if 0 <= count < 100 else 4
    tensor = {"name": name, "datatype": datatype, "shape": shape}
    binary = b""
    if draw(st.booleans()):
        binary = struct.pack("<I", 1) + b"a" if datatype == "BYTES" else bytes(ITEMS.get(datatype, 4) * count)
        binary += draw(st.sampled_from([b""] * 6 + [b"x", bytes(100)]))
        told = draw(st.sampled_from([len(binary)] * 6 + [len(binary) + 1, 0, -1, 2**40, 2**63, "8", None, 1.5]))
        tensor["parameters"] = {"binary_data_size": told}
    else:
        right = {"BYTES": "a", "BOOL": True}.get(datatype, 0)
        tensor["data"] = [right] * count
        if draw(st.booleans()):
            tensor["data"] = draw(st.lists(values, max_size=5) | odd)
    if draw(st.integers(0, 9)) == 0:
        tensor[draw(st.sampled_from(["name", "datatype", "shape", "parameters", "data"]))] = draw(odd)
    if draw(st.integers(0, 9)) == 0:
        tensor.pop(draw(st.sampled_from(sorted(tensor))))
    return tensor, binary


@st.composite
def requests(draw):
    """A model, a body and headers: a request that is right or wrong somewhere."""
    model = draw(st.sampled_from(sorted(KINDS)))
    parts = draw(st.lists(tensors(model), max_size=6))
    document = {"inputs": [tensor for tensor, _ in parts]}
    if draw(st.integers(0, 2)) == 0:
        document["outputs"] = draw(
            st.lists(
                st.builds(
                    lambda name, binary: {"name": name, "parameters": {"binary_data": binary}},
                    st.sampled_from([*OUTPUTS[model], "nobody"]),
                    st.booleans() | odd,
                ),
                max_size=3,
            )
            | odd
        )
    if draw(st.integers(0, 3)) == 0:
        document[draw(st.sampled_from(["id", "parameters", "inputs", "extra"]))] = draw(odd)
    header = json.dumps(document).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 5)) == 0:
        cut = draw(st.integers(0, len(header)))
        header = header[:cut] + draw(st.binary(max_size=6)) + header[cut:]
    body = header + b"".join(binary for _, binary in parts)
    told = draw(st.sampled_from([len(header)] * 6 + [0, len(body), len(body) + 1, 2**70, -1, "1e3", "٣"]))
    headers = [f"Inference-Header-Content-Length: {told}"] if draw(st.integers(0, 4)) else []
    encoding = draw(st.sampled_from([""] * 8 + ["gzip", "deflate", "br", "gzip, gzip", "identity"]))
    if encoding:
        headers.append(f"Content-Encoding: {encoding}")
        body = draw(st.sampled_from([gzip.compress(body), zlib.compress(body), body, gzip.compress(body)[:-5]]))
    if draw(st.integers(0, 6)) == 0:
        timeout = draw(st.sampled_from(["5000", "-1", "x", "1e3", "9" * 40]))
        headers.append(f"X-Request-Timeout-Ms: {timeout}")
    return model, body, [header.encode("utf-8").decode("latin-1") for header in headers]


def check(target, model, body, headers, length=None):
    reply = target.infer(model, body, *headers, length=length)
    assert reply.status == 200 or 400 <= reply.status < 500, (reply, body[:500], headers)
    if reply.status >= 400 and b"application/json" in reply.head:
        assert len(reply.error) > 5
    return reply


@QUICK
@given(request=requests())
def test_any_request(target, request):
    check(target, *request)
    assert target.lives()


@pytest.mark.slow
@LONG
@given(request=requests())
def test_any_request_at_length(target, request):
    check(target, *request)


@QUICK
@given(body=st.binary(max_size=300), model=st.sampled_from(sorted(KINDS)), told=st.none() | st.integers(0, 300))
def test_any_bytes_as_a_body(target, body, model, told):
    headers = [] if told is None else [f"Inference-Header-Content-Length: {told}"]
    assert check(target, model, body, headers).status == 400


@QUICK
@given(data=st.binary(max_size=400))
def test_any_bytes_on_the_wire(target, data):
    reply = target.send(data, half_close=True)
    assert reply.status == 0 or 400 <= reply.status < 500
    assert target.lives()


@QUICK
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "BREW"]),
    path=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30),
    middle=st.sampled_from(["/", "/v2/models/", "/v2/models/types/", "/v2/models/types/versions/"]),
)
def test_any_path(target, method, path, middle):
    head = f"{method} {middle}{path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
    reply = target.send(head.encode() + b"{}")
    assert reply.status == 200 or 400 <= reply.status < 500


RIGHT = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}).encode()


def bomb(size):
    return gzip.compress(bytes(size), 9)


def lstm(shape, data=()):
    return json.dumps({"inputs": [{"name": "input", "datatype": "FP32", "shape": shape, "data": list(data)}]}).encode()


def picky(x, y, index):
    tensors = [("x", "FP32", x), ("y", "FP32", y), ("i", "INT64", index)]
    return json.dumps(
        {"inputs": [{"name": n, "datatype": t, "shape": [len(v)], "data": v} for n, t, v in tensors]}
    ).encode()


@pytest.mark.parametrize(
    ("model", "body", "headers", "status", "reason"),
    [
        ("lstm", lstm([3, 1, 4], [float("nan")] * 12), (), 400, "not valid JSON"),
        ("lstm", lstm([3, 1, 4], [float("inf")] * 12), (), 400, "not valid JSON"),
        ("lstm", lstm([3, 1, 4], [1e300] * 12), (), 400, "out of range"),
        ("lstm", lstm([0, 1, 4]), (), 400, "axis of length 0"),
        ("lstm", lstm([-1, 1, 4]), (), 400, "dimension -1 in shape is negative"),
        ("lstm", lstm([2**62, 1, 4]), (), 400, "is too large"),
        ("lstm", lstm([2**30, 1, 4]), (), 400, f"needs {4 * 2**30}"),
        ("lstm", lstm([1] * 65), (), 400, "at most 64"),
        ("picky", picky([1, 2], [1, 2, 3], [0]), (), 400, "the model fails on these values"),
        ("picky", picky([1], [1], [7]), (), 400, "the model fails on these values"),
        ("picky", b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}", (), 413, "exceeds the limit"),
        ("picky", b'{"inputs":' + b"[" * 50_000 + b"]" * 50_000 + b"}", (), 400, "JSON"),
        ("picky", b'{"inputs":[{"name":"\xff"}]}', (), 400, "not valid JSON"),
        ("picky", b'{"inputs":[{"name":"\\ud800"}]}', (), 400, "not valid JSON"),
        ("types", bomb(10 * BODY_LIMIT), ("Content-Encoding: gzip",), 413, "exceeds the limit"),
        ("types", bomb(10_000_000_000 // 1000), ("Content-Encoding: gzip",), 413, "exceeds the limit"),
        (
            "types",
            gzip.compress(RIGHT, mtime=0) + RIGHT,
            ("Content-Encoding: gzip",),
            400,
            "left over",
        ),
        ("types", bytes(BODY_LIMIT + 1), (), 413, "exceeds the limit"),
        ("types", b"", (), 400, "not valid JSON"),
        ("types", RIGHT, ("Inference-Header-Content-Length: 99999",), 400, "but the body has"),
    ],
)
def test_what_is_refused_and_why(target, model, body, headers, status, reason):
    reply = check(target, model, body, headers)
    assert reply.status == status, reply
    assert reason in reply.error


@pytest.mark.parametrize("extra", [1, 10**6])
def test_a_body_shorter_than_it_says(target, extra):
    reply = check(target, "types", RIGHT, (), length=len(RIGHT) + extra)
    assert reply.status in (408, 413)


def test_a_body_longer_than_it_says(target):
    """What is left over is no request of its own: `Connection: close` was said, or it is refused."""
    reply = check(target, "types", RIGHT, (), length=len(RIGHT) - 5)
    assert reply.status == 400
    assert target.lives()


@pytest.mark.parametrize("length", ["-5", "+5", "5, 6", "0x10", "5 5", "", "٣".encode().decode("latin-1"), "9" * 30])
def test_lengths_that_are_none(target, length):
    assert check(target, "types", RIGHT, (), length=length).status in (400, 413)
    assert target.lives()


def test_nan_and_infinity_pass_as_binary(target):
    array = np.array([np.nan, np.inf, -np.inf], np.float32)
    inputs = [
        {"name": "x", "datatype": "FP32", "shape": [3], "parameters": {"binary_data_size": array.nbytes}},
        {"name": "y", "datatype": "FP32", "shape": [3], "data": [1, 1, 1]},
        {"name": "i", "datatype": "INT64", "shape": [1], "data": [0]},
    ]
    for binary, status in ((True, 200), (False, 400)):
        header = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": binary}}).encode()
        length = f"Inference-Header-Content-Length: {len(header)}"
        reply = check(target, "picky", header + array.tobytes(), (length,))
        assert reply.status == status
    assert "NaN or infinity" in reply.error
