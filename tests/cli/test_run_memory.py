"""Requests that would take all memory are refused, by a server of several models that all go on."""

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from chrion.commands import serving
from chrion_api import ChrionModelSpec
from tests.support.control_flow import TextModel
from tests.support.plans import Planned
from tests.support.waiting import wait_until

LIMIT = 256 << 20

GROW = "grow (int64[1] n) => (float y) { z = ConstantOfShape (n) y = ReduceSum <keepdims = 0> (z) }"
ZEROS = "zeros (int64[1] n) => (float[k] z) { z = ConstantOfShape (n) }"
CELL = """cell (float[batch, n] x, float[batch, 64] h) => (float[batch] y, float[batch, 64] hn)
  <int64[1] axis = {1}> {
  sum = ReduceSum <keepdims = 1> (x, axis)
  more = Add (sum, h)
  hn = Tanh (more)
  y = ReduceSum <keepdims = 0> (hn, axis)
}"""
NEIGHBOUR = "neighbour (float[b, 2] x) => (float[b, 2] y) { y = Neg (x) }"
MODELS = {
    "grow": (GROW, {"n": (1,)}),
    "zeros": (ZEROS, {"n": (1,)}),
    "cell": (CELL, {"x": (1, 4), "h": (1, 64)}),
    "neighbour": (NEIGHBOUR, {"x": (1, 2)}),
}
MIB_OF_STATE = (1 << 20) // (64 * 4)
"""Rows of cell's state in a MiB."""


class Asked:
    """What a server answered."""

    def __init__(self, status, headers, body):
        self.status = status
        self.retry_after = headers.get("Retry-After")
        self.body = body

    @property
    def error(self):
        return json.loads(self.body)["error"]


class Client:
    """Asks a server of all the models."""

    def __init__(self, server):
        self._server = server

    def infer(self, model, name, datatype, shape, data, **more):
        body = {"inputs": [{"name": name, "datatype": datatype, "shape": list(shape), "data": data}], **more}
        request = urllib.request.Request(
            f"http://{self._server.address}/v2/models/{model}/infer", json.dumps(body).encode()
        )
        try:
            with urllib.request.urlopen(request, timeout=100) as response:
                return Asked(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            return Asked(error.code, error.headers, error.read())

    def grow(self, n):
        return self.infer("grow", "n", "INT64", [1], [n])

    def state(self, key, rows, **flags):
        """A request of a sequence whose x has so many rows and no values."""
        flags = {"sequence_id": key, "binary_data_output": True, **flags}
        return self.infer("cell", "x", "FP32", [rows, 0], [], parameters=flags)

    def neighbour_answers(self):
        return json.loads(self.infer("neighbour", "x", "FP32", [1, 2], [1, -2]).body)["outputs"][0]["data"] == [-1, 2]

    def kept(self):
        with urllib.request.urlopen(self._server.metrics, timeout=30) as response:
            return int(float(re.search(r'chrion_sequence_bytes\{model="cell"\} (\S+)', response.read().decode())[1]))

    def resident(self):
        status = Path(f"/proc/{self._server.process.popen.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) << 10


@pytest.fixture(scope="module")
def server(chrion, serving, tmp_path_factory):
    plans, paths = [], []
    for name, (text, shapes) in MODELS.items():
        folder = tmp_path_factory.mktemp(name)
        one = Planned(TextModel(text, ()).build(), folder, shapes)
        paths.append(one.path.rename(folder / f"{name}.onnx"))
        plans += ["--plan", one.write(folder / "plan.json")]
    options = ["--value", "grow:n=8", "--value", "zeros:n=8", "--state", "cell:hn=h", "--run-memory", str(LIMIT)]
    with serving(chrion, "serve", *paths, *plans, *options, "--metrics-port", "0") as running:
        yield running
        assert "onnxruntime" not in running.process.err


@pytest.fixture
def client(server):
    asking = Client(server)
    yield asking
    assert server.process.popen.poll() is None
    assert asking.neighbour_answers()


@pytest.mark.parametrize("rows", [1 << 20, 1 << 40, 1 << 57])
def test_a_short_request_cannot_begin_with_a_huge_state(client, rows):
    answer = client.state(1, rows, sequence_start=True)
    assert answer.status == 413
    for words in ('input "h"', f"{rows * 256} bytes", f"{LIMIT // 2} together", "--run-memory", "send less at once"):
        assert words in answer.error
    assert client.state(1, 1).status == 409, "nothing was begun"


def test_the_states_of_many_sequences_have_a_bound_together(client):
    """A sequence of 32 MiB after the other: the longest idle make room, and one that is the whole bound takes all."""
    for key in range(1, 11):
        assert client.state(key, 32 * MIB_OF_STATE, sequence_start=True).status == 200
        assert client.kept() <= LIMIT // 2
    assert client.kept() == LIMIT // 2
    lost = client.state(1, 32 * MIB_OF_STATE)
    assert lost.status == 409
    assert "idle for the longest time when the memory for states was full" in lost.error
    assert client.state(9, 32 * MIB_OF_STATE).status == 200
    for key in range(7, 11):
        assert client.state(key, 32 * MIB_OF_STATE, sequence_end=True).status == 200
    assert client.kept() == 0


@pytest.mark.parametrize(("n", "status"), [(10**8, 413), (10**12, 413), (2**62, 400), (2**63 - 1, 400), (-1, 400)])
def test_values_cannot_ask_for_more_than_runs_may_take(client, n, status):
    answer = client.grow(n)
    assert answer.status == status
    assert "GPU" not in answer.error
    if status == 413:
        for words in (f"{4 * n} bytes", f"all runs may use {LIMIT}", "--run-memory, spec.limits.runMemory"):
            assert words in answer.error


def test_what_earlier_runs_left_is_in_nobodys_way(client):
    assert [client.grow(n).status for n in (10 << 20, 20 << 20, 30 << 20, 60 << 20)] == [200] * 4


def test_what_does_not_fit_beside_others_may_later(client):
    for key in (1, 2, 3):
        assert client.state(key, 30 * MIB_OF_STATE, sequence_start=True).status == 200
    answer = client.grow(45 << 20)
    assert (answer.status, answer.retry_after) == (503, "1")
    for words in ("no CPU memory left", f"{LIMIT} bytes together", "--run-memory", "try again later"):
        assert words in answer.error
    for key in (1, 2, 3):
        assert client.state(key, 30 * MIB_OF_STATE, sequence_end=True).status == 200
    assert client.grow(45 << 20).status == 200


def test_a_huge_run_gives_its_memory_back(client):
    before = client.resident()
    assert client.grow(55 << 20).status == 200
    wait_until(lambda: client.resident() <= before + LIMIT // 4, "its memory is given back")


def test_an_answer_is_refused_before_its_json_takes_all_memory(client):
    rows = 4_000_000
    answer = client.infer("zeros", "n", "INT64", [1], [rows])
    assert answer.status == 413
    for words in (f"may take {LIMIT // 4}", "--run-memory", "request fewer outputs or binary data"):
        assert words in answer.error
    binary = client.infer("zeros", "n", "INT64", [1], [rows], parameters={"binary_data_output": True})
    assert binary.status == 200
    assert binary.body.endswith(np.zeros(rows, np.float32).tobytes())


def test_the_largest_limit_of_several_models_holds_unless_the_option_says_otherwise():
    def limit(option, *given):
        head = {"model": {"uri": "file://m.onnx"}}
        specs = [ChrionModelSpec.parse({**head, "limits": {"runMemory": one} if one else {}}) for one in given]
        return serving.run_memory_of(option, specs)

    assert limit(None, "1Gi", None, "2Gi") == 2 << 30
    assert limit("512Mi", "1Gi", "2Gi") == 512 << 20
    assert limit(None, None) is None


@pytest.mark.parametrize(
    ("text", "why"), [("0", "must be greater than zero"), ("-1", "quantity"), ("much", "quantity")]
)
def test_a_limit_that_is_none(quick, refusal, tmp_path, text, why):
    model, plan = tmp_path / "m.onnx", tmp_path / "p.json"
    line = refusal(quick("serve", model, "--plan", plan, f"--run-memory={text}"))
    assert "--run-memory" in line
    assert why in line
