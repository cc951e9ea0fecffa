"""gRPC's own ways: deadlines, limits, codes, sequences, signals, and messages that are none."""

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from chrion_api import StateLink
from chrion_runtime.errors import RunError, UnfitValues
from chrion_runtime.planned_model import Hosting, PlannedModel
from chrion_runtime.sequences import SequenceStore
from chrion_runtime.serve.addresses import CannotListen
from chrion_runtime.serve.grpc.message import MOST_FIELDS, take_apart
from chrion_runtime.serve.grpc.reading import parse
from chrion_runtime.serve.lifecycle import serve
from chrion_runtime.serve.options import ServerOptions
from chrion_runtime.serve.protocol.errors import BadRequest
from tests.runtime.sequences.conftest import BUCKET, STEPS, lstm, speech
from tests.support.otlp import attributes, receiving
from tests.support.plans import Planned
from tests.support.waiting import wait_until

METHOD = "/inference.GRPCInferenceService/ModelInfer"
ONE = np.array([7], np.int64)


def tensor(name, array, datatype):
    return triton.InferInput(name, array.shape, datatype).set_data_from_numpy(array)


@contextmanager
def connected(running):
    with triton.InferenceServerClient(running.where.grpc_address) as client:
        yield client


def ask(client, model="gate", **options):
    return client.infer(model, [tensor("x", ONE, "INT64")], **options).as_numpy("y").tolist()


def message(model="gate", values=ONE):
    request = service_pb2.ModelInferRequest(model_name=model, raw_input_contents=[values.tobytes()])
    request.inputs.add(name="x", datatype="INT64", shape=values.shape)
    return request.SerializeToString()


def code_of(client, **options):
    with pytest.raises(InferenceServerException) as caught:
        ask(client, **options)
    return caught.value.status()


class Background(threading.Thread):
    """A request on a thread of its own; `result` gives its answer or raises its error."""

    def __init__(self, function, *arguments, **options):
        super().__init__()
        self._work = function, arguments, options
        self.outcome = self.error = None
        self.start()

    def run(self):
        function, arguments, options = self._work
        try:
            self.outcome = function(*arguments, **options)
        except Exception as error:  # noqa: BLE001
            self.error = error

    def result(self):
        self.join(60)
        if self.error is not None:
            raise self.error
        return self.outcome


@pytest.fixture
def busy(serving, make_gate):
    """`busy(**options)` of the model: a server with one request of a slow model under way, the gate, and a client."""
    stack = []

    def start(queue_limit=256, **options):
        gate = make_gate(concurrency=1, **options)
        contexts = [serving(gate.model, grpc_port=0, queue_limit=queue_limit)]
        running = contexts[0].__enter__()
        contexts.append(connected(running))
        client = contexts[1].__enter__()
        stack.append((gate, contexts))
        # The first run shows what runs take.
        first = Background(ask, client)
        assert gate.entered.acquire(timeout=60)
        threading.Event().wait(0.3)
        gate.open.set()
        assert first.result() == [7]
        gate.open.clear()
        under_way = Background(ask, client)
        assert gate.entered.acquire(timeout=60)
        return running, gate, client, under_way

    yield start
    for gate, contexts in stack:
        gate.open.set()
        for context in reversed(contexts):
            context.__exit__(None, None, None)


def test_a_deadline_that_cannot_be_held(busy):
    running, gate, client, under_way = busy()
    for options in ({"timeout": 50_000}, {"client_timeout": 0.05}, {"headers": {"x-request-timeout-ms": "50"}}):
        assert code_of(client, **options) == "StatusCode.DEADLINE_EXCEEDED"
    # Refused at once, and not only when the time was up.
    assert running.registry.metrics.of(gate.model).refusals["too_late"] >= 2
    gate.open.set()
    assert under_way.result() == [7]


def test_too_late_by_the_objective(busy):
    running, *_ = busy(deadline=0.05)
    with grpc.insecure_channel(running.where.grpc_address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(METHOD)(message(), timeout=60)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert 'model "gate" would answer in' in caught.value.details()
    assert int(dict(caught.value.trailing_metadata())["retry-after"]) >= 1


def test_overload(busy):
    running, gate, client, under_way = busy(queue_limit=1)
    waits = Background(ask, client)
    wait_until(lambda: running.registry.model("gate").waiting == 1)
    with grpc.insecure_channel(running.where.grpc_address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(METHOD)(message())
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "already has 1 requests waiting" in caught.value.details()
    assert dict(caught.value.trailing_metadata())["retry-after"] == "1"
    gate.open.set()
    assert under_way.result() == waits.result() == [7]


def test_a_client_that_gives_up_leaves_the_line(busy, caplog):
    running, gate, _, under_way = busy()
    with grpc.insecure_channel(running.where.grpc_address) as channel:
        call = channel.unary_unary(METHOD).future(message())
        wait_until(lambda: running.registry.in_flight == 2)
        call.cancel()
        wait_until(lambda: running.registry.in_flight == 1)
    assert running.registry.model("gate").waiting == 0
    gate.open.set()
    assert under_way.result() == [7]
    assert running.registry.metrics.of(gate.model).refusals == {"client_gone": 1}
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")]


def test_failures(serving, make_model):
    def fail(x):
        raise {0: RunError("node 3: no"), 1: UnfitValues("index 9 is out of range"), 2: ZeroDivisionError("secret")}[
            int(x[0])
        ]

    model = make_model(fail, {"x": ("INT64", (None,))}, {"y": ("INT64", (None,))})
    found = []
    with serving(model, grpc_port=0) as running, connected(running) as client:
        for value in range(3):
            with pytest.raises(InferenceServerException) as caught:
                client.infer("m", [tensor("x", np.array([value]), "INT64")])
            found.append((caught.value.status().removeprefix("StatusCode."), caught.value.message()))
    assert found == [
        ("INTERNAL", "node 3: no"),
        ("INVALID_ARGUMENT", "index 9 is out of range"),
        ("INTERNAL", "internal error: see the server's log"),
    ]


def test_limits(serving, make_model, caplog):
    model = make_model(lambda x: {"y": x}, {"x": ("INT64", (None,))}, {"y": ("INT64", (None,))}, name="gate")
    with serving(model, grpc_port=0, body_limit=10_000, bodies_limit=5_000, read_seconds=0.2) as running:
        with grpc.insecure_channel(running.where.grpc_address) as channel:
            call = channel.unary_unary(METHOD)

            def refused(data, **options):
                with pytest.raises(grpc.RpcError) as caught:
                    call(data, timeout=60, **options)
                return caught.value.code(), caught.value.details()

            code, said = refused(message(values=np.zeros(2_000, np.int64)))
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            code, said = refused(message(values=np.zeros(1_000, np.int64)))
            assert (code, "in flight hold 5000 bytes" in said) == (grpc.StatusCode.UNAVAILABLE, True)
            # A message that inflates would be inflated to any size before anybody could look at it.
            code, said = refused(message(values=np.zeros(100, np.int64)), compression=grpc.Compression.Gzip)
            assert code is grpc.StatusCode.UNIMPLEMENTED
            for bad in (b"nonsense", b"\x0a\xff", b"\x0a\x02\xff\xfe", b"\x3b", message()[:-1]):
                assert refused(bad)[0] is grpc.StatusCode.INVALID_ARGUMENT, bad
            assert refused(b"")[0] is grpc.StatusCode.NOT_FOUND
            # No message at all, and one that does not come.
            stream = channel.stream_unary(METHOD)
            with pytest.raises(grpc.RpcError) as caught:
                stream(iter(()))
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            never = threading.Event()
            with pytest.raises(grpc.RpcError) as caught:
                stream(iter(never.wait, None), timeout=60)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert "did not arrive within 0.2 s" in caught.value.details()
            never.set()
            assert call(message())
        wait_until(lambda: running.registry.in_flight == 0)
        assert running.registry.bodies.held == 0
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data):
    try:
        found = take_apart(data)
    except BadRequest:
        return
    try:
        parse("ModelInferRequest", found.head)
    except BadRequest:
        return
    whole = parse("ModelInferRequest", data)
    assert (found.model, found.version or "") == (whole.model_name, whole.model_version)
    assert [bytes(one) for one in found.tensors] == list(whole.raw_input_contents)


@given(st.lists(st.binary(max_size=300), max_size=5), st.text(max_size=20), st.text(max_size=200))
def test_a_message_is_taken_apart_as_protobuf_reads_it(tensors, model, identity):
    whole = service_pb2.ModelInferRequest(model_name=model, id=identity, raw_input_contents=tensors)
    whole.parameters["timeout"].int64_param = 7
    whole.inputs.add(name="x", datatype="INT64", shape=[1, 2**40])
    found = take_apart(whole.SerializeToString())
    assert (found.model, [bytes(one) for one in found.tensors]) == (model, tensors)
    del whole.raw_input_contents[:]
    assert service_pb2.ModelInferRequest.FromString(found.head) == whole


def test_too_many_fields():
    with pytest.raises(BadRequest, match=f"more than {MOST_FIELDS} tensors"):
        take_apart(b"\x2a\x00" * (MOST_FIELDS + 1))


def test_sequences(serving, tmp_path):
    links = (StateLink(output="h_out", input="h"), StateLink(output="c_out", input="c"))
    planned = Planned(lstm(), tmp_path, BUCKET)
    session = PlannedModel(
        planned.normalised, planned.plan_file, name="m", state=links, hosting=Hosting(SequenceStore(limit=2))
    )
    x = speech(1, STEPS * 2)
    with serving(session, grpc_port=0) as running, connected(running) as client:

        def send(part, key, **place):
            return client.infer("m", [tensor("x", part, "FP32")], sequence_id=key, **place)

        with pytest.raises(InferenceServerException) as caught:
            send(x[:STEPS], 9)
        assert caught.value.status() == "StatusCode.FAILED_PRECONDITION"
        assert "it was not started here" in caught.value.message()
        for key in (2**63 - 1, "a stream"):
            first = send(x[:STEPS], key, sequence_start=True)
            assert {output.name for output in first.get_response().outputs} == {"y", "mood"}
            second = send(x[STEPS:], key, sequence_end=True)
            again = send(x[STEPS:], key, sequence_start=True)
            # What came before is known, and forgotten at a new start.
            assert not np.allclose(second.as_numpy("y"), again.as_numpy("y"))


def test_a_trace(serving, add):
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with receiving() as collector:
        with serving(add, grpc_port=0, otlp_endpoint=collector.url) as running, connected(running) as client:
            x = tensor("x", np.ones((1, 2), np.float32), "FP32")
            client.infer("add", [x], request_id="7", headers={"traceparent": f"00-{trace}-{parent}-01"})
        spans = {span.name: span for _, span in collector.spans}
    request = spans["inference.GRPCInferenceService/ModelInfer"]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (trace, parent)
    assert spans["stage 0"].parent_span_id == request.span_id
    found = attributes(request)
    assert (found["rpc.system"], found["chrion.request.id"], found["chrion.model"]) == ("grpc", "7", "add")
    assert not [name for name in found if name.startswith("http")]


def test_a_port_in_use(add):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1:{port}: the port is in use"):
            serve([add], ServerOptions(port=0, metrics_port=None, grpc_port=port))
    assert add.closed


def test_two_servers_do_not_share_a_port(serving, add, make_model):
    with serving(add, grpc_port=0) as running:
        options = ServerOptions(port=0, metrics_port=None, grpc_port=running.where.grpc_port)
        with pytest.raises(CannotListen, match="the port is in use"):
            serve([make_model(dict, {}, {})], options)


SCRIPT = """
import os, sys
import numpy as np
from tests.runtime.serve.conftest import Model
from chrion_runtime.serve.lifecycle import serve
from chrion_runtime.serve.options import ServerOptions

def wait(x):
    print("running", flush=True)
    os.read(0, 1)
    return {"y": x}

model = Model(wait, {"x": ("INT64", (None,))}, {"y": ("INT64", (None,))}, name="gate", concurrency=1)
options = ServerOptions(port=0, metrics_port=None, grpc_port=0, drain_seconds=float(sys.argv[1]))
serve([model], options, lambda where: print("listening", where.grpc_address, flush=True))
print("closed" if model.closed else "left", flush=True)
"""


@contextmanager
def process(drain):
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(drain)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)) + os.pathsep + str(Path.cwd())},
    )
    try:
        word, address = child.stdout.readline().split()
        assert word == "listening"
        with triton.InferenceServerClient(address) as client:
            yield child, client
    finally:
        child.kill()
        child.communicate()


def test_a_signal_lets_calls_in_flight_finish():
    with process(3600) as (child, client):
        call = Background(ask, client)
        assert child.stdout.readline() == "running\n"
        child.send_signal(signal.SIGTERM)
        while client.is_server_ready():
            pass
        refused = Background(ask, client)
        with pytest.raises(InferenceServerException, match=r"\[StatusCode.UNAVAILABLE\] the server is shutting down"):
            refused.result()
        assert call.is_alive()
        child.stdin.write("go on\n")
        child.stdin.flush()
        assert call.result() == [7]
        out, err = child.communicate(timeout=60)
        assert (child.returncode, out, err) == (0, "closed\n", "")


def test_a_call_that_does_not_end_is_cut_off():
    with process(0.2) as (child, client):
        call = Background(ask, client)
        assert child.stdout.readline() == "running\n"
        child.send_signal(signal.SIGTERM)
        with pytest.raises(InferenceServerException):
            call.result()
        assert child.wait(timeout=60) == 0
        out, err = child.stdout.read(), child.stderr.read()
        assert out == "left\n"
        assert "requests of gate still running" in err
        assert "Traceback" not in err
