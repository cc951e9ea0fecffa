"""ModelStreamInfer by Triton's clients: order, errors in their place, state that is the stream's, and its limits."""

import asyncio
import queue
import threading

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from chrion_api import StateLink
from chrion_runtime.planned_model import Hosting, PlannedModel
from chrion_runtime.sequences import SequenceStore
from tests.runtime.sequences.conftest import BUCKET, lstm, speech, zeros
from tests.support.partition import reference
from tests.support.plans import Planned
from tests.support.waiting import wait_until

LINKS = (StateLink(output="h_out", input="h"), StateLink(output="c_out", input="c"))


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    return Planned(lstm(), tmp_path_factory.mktemp("planned"), BUCKET)


@pytest.fixture
def session(planned):
    """A session with state; served, it is closed with the server."""
    return PlannedModel(planned.normalised, planned.plan_file, name="m", state=LINKS, hosting=Hosting(SequenceStore()))


@pytest.fixture
def double(make_model):
    """Doubles numbers; those below 0 wait until `double.door` is open."""

    def run(x):
        if x.size and x.flat[0] < 0:
            model.entered.set()
            assert model.door.wait(60)
        return {"y": 2 * x}

    model = make_model(run, {"x": ("FP32", (None,))}, {"y": ("FP32", (None,))}, name="double", concurrency=1)
    model.door, model.entered = threading.Event(), threading.Event()
    yield model
    model.door.set()


def tensor(name, array):
    return triton.InferInput(name, list(array.shape), "FP32").set_data_from_numpy(array)


def numbers(*values):
    return [tensor("x", np.float32(values))]


class Stream:
    """A stream of Triton's blocking client, whose answers are taken one by one."""

    def __init__(self, where):
        self._client = triton.InferenceServerClient(where.grpc_address)
        self._answers = queue.Queue()
        self._client.start_stream(lambda result, error: self._answers.put((result, error)))

    def send(self, model, inputs, **options):
        self._client.async_stream_infer(model, inputs, **options)

    def next(self):
        return self._answers.get(timeout=60)

    def value(self, name="y"):
        result, error = self.next()
        assert error is None, error
        return result.as_numpy(name)

    def close(self, cancel=False):
        self._client.stop_stream(cancel_requests=cancel)
        self._client.close()


@pytest.fixture
def streams():
    made = []

    def make(running):
        made.append(Stream(running.where))
        return made[-1]

    yield make
    for one in made:
        one.close(cancel=True)


def test_answers_come_in_the_order_of_the_requests(serving, double, streams):
    with serving(double, grpc_port=0) as running:
        stream = streams(running)
        for number in range(50):
            stream.send("double", numbers(number), request_id=str(number))
        for number in range(50):
            result, error = stream.next()
            assert error is None
            assert (result.get_response().id, result.as_numpy("y").tolist()) == (str(number), [2 * number])


def test_an_error_is_answered_in_its_place_and_the_stream_goes_on(serving, double, streams):
    with serving(double, grpc_port=0) as running:
        stream = streams(running)
        stream.send("double", numbers(1))
        stream.send("nobody", numbers(1), request_id="lost")
        stream.send("double", [tensor("z", np.float32([1]))])
        stream.send("double", numbers(2))
        assert stream.value().tolist() == [2]
        for problem in ('model "nobody" is not served here', 'input "z": the model has no such input'):
            result, error = stream.next()
            assert result is None
            assert problem in error.message()
        assert stream.value().tolist() == [4]
        assert running.registry.bodies.held == 0


def test_what_is_no_request_is_answered_with_an_error(serving, double):
    with serving(double, grpc_port=0) as running, grpc.insecure_channel(running.where.grpc_address) as channel:
        ask = channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            request_serializer=bytes,
            response_deserializer=service_pb2.ModelStreamInferResponse.FromString,
        )
        answers = list(ask(iter([b"\xff\xff", b""]), timeout=60))
    assert len(answers) == 2
    assert "not a ModelInferRequest" in answers[0].error_message
    assert "is not served here" in answers[1].error_message


def test_an_error_names_the_request(serving, double):
    with serving(double, grpc_port=0) as running, grpc.insecure_channel(running.where.grpc_address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        (answer,) = stub.ModelStreamInfer(iter([service_pb2.ModelInferRequest(model_name="x", id="7")]), timeout=60)
    assert (answer.infer_response.id, bool(answer.error_message)) == ("7", True)


def test_the_stream_is_read_only_as_far_ahead_as_may_be_in_flight(serving, double, streams):
    with serving(double, grpc_port=0) as running:
        stream = streams(running)
        for _ in range(100):
            stream.send("double", numbers(-1))
        assert double.entered.wait(60)
        metrics = running.registry.model("double").metrics
        wait_until(lambda: metrics.in_flight == 16, "the stream has read what it may")
        double.door.set()
        assert [stream.value().tolist() for _ in range(100)] == [[-2]] * 100
        wait_until(lambda: metrics.in_flight == 0)


def test_a_stream_may_carry_more_than_all_bodies_may_hold(serving, double, streams):
    with serving(double, grpc_port=0, body_limit=1_000_000, bodies_limit=2_000_000) as running:
        stream = streams(running)
        for number in range(60):
            stream.send("double", numbers(*[number] * 50_000))
            assert stream.value().tolist() == [2 * number] * 50_000
        wait_until(lambda: running.registry.bodies.held == 0)


def test_a_sequence_carries_its_state_and_is_the_stream_s_own(serving, session, planned, streams):
    whole = [speech(seed, 12) for seed in (1, 2)]
    expected = [reference(planned.path, {"x": x, **zeros(x.shape[1])}) for x in whole]
    with serving(session, grpc_port=0) as running:
        both = [streams(running) for _ in whole]
        parts = []
        for start in (0, 4, 8):
            for stream, x in zip(both, whole, strict=True):
                part = {"sequence_id": 1, "sequence_start": start == 0, "sequence_end": start == 8}
                stream.send("m", [tensor("x", x[start : start + 4])], **part)
            parts.append([stream.value() for stream in both])
        for found, wanted in zip(zip(*parts, strict=True), expected, strict=True):
            np.testing.assert_allclose(np.concatenate(found), wanted["y"], rtol=1e-4, atol=1e-5)
        assert session.sequences.active == 0


def test_a_stream_s_sequence_is_unknown_outside_and_in_other_streams(serving, session, streams):
    x = tensor("x", speech(0, 4))
    with serving(session, grpc_port=0) as running:
        one, other = streams(running), streams(running)
        one.send("m", [x], sequence_id=5, sequence_start=True)
        one.value()
        other.send("m", [x], sequence_id=5)
        _, error = other.next()
        assert "sequence 5 has no state here" in error.message()
        client = triton.InferenceServerClient(running.where.grpc_address)
        with client, pytest.raises(InferenceServerException, match="sequence 5 has no state here"):
            client.infer("m", [x], sequence_id=5)


@pytest.mark.parametrize("cancel", [False, True])
def test_state_goes_with_its_stream(serving, session, streams, cancel):
    with serving(session, grpc_port=0) as running:
        stream = streams(running)
        for key in (1, 2, 3):
            stream.send("m", [tensor("x", speech(0, 4))], sequence_id=key, sequence_start=True)
            stream.value()
        assert session.sequences.active == 3
        stream.close(cancel=cancel)
        wait_until(lambda: session.sequences.active == 0, "the stream's sequences have gone")
        wait_until(lambda: running.registry.model("m").metrics.in_flight == 0)


@pytest.mark.parametrize("count", [1, 40])
def test_nothing_is_left_of_a_client_that_goes_while_its_requests_run(serving, double, streams, count):
    with serving(double, grpc_port=0) as running:
        stream = streams(running)
        for _ in range(count):
            stream.send("double", numbers(-1))
        assert double.entered.wait(60)
        stream.close(cancel=True)
        metrics = running.registry.model("double").metrics
        wait_until(lambda: metrics.in_flight == 0, "its requests are given up")
        double.door.set()
        wait_until(lambda: running.registry.bodies.held == 0)
        wait_until(lambda: running.registry.in_flight == 0)
        assert 1 <= metrics.requests["gone"].count <= 16
        other = streams(running)
        other.send("double", numbers(4))
        assert other.value().tolist() == [8]


def test_a_client_that_does_not_read_is_given_up(serving, make_model):
    """Its answers fill what gRPC keeps for it; then the stream ends, and nothing of it is left."""
    big = make_model(
        lambda x: {"y": np.zeros(1_000_000, np.float32) + x[0]}, {"x": ("FP32", (None,))}, {"y": ("FP32", (None,))}
    )
    with serving(big, grpc_port=0, write_seconds=0.5) as running:
        with grpc.insecure_channel(running.where.grpc_address) as channel:
            ask = channel.stream_stream(
                "/inference.GRPCInferenceService/ModelStreamInfer",
                request_serializer=service_pb2.ModelInferRequest.SerializeToString,
                response_deserializer=bytes,
            )
            request = service_pb2.ModelInferRequest(model_name="m")
            one = request.inputs.add(name="x", datatype="FP32", shape=[1])
            one.contents.fp32_contents.append(1)
            answers = ask(iter([request] * 200), timeout=60)
            metrics = running.registry.model("m").metrics
            wait_until(lambda: metrics.requests["ok"].count and not metrics.in_flight, "the stream is given up")
            with pytest.raises(grpc.RpcError) as caught:
                list(answers)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert running.registry.bodies.held == 0


def test_requests_of_a_sequence_may_be_sent_ahead(serving, session, planned, streams):
    x = speech(3, 40)
    with serving(session, grpc_port=0) as running:
        stream = streams(running)
        for start in range(0, 40, 4):
            stream.send("m", [tensor("x", x[start : start + 4])], sequence_id=1, sequence_start=start == 0)
        found = np.concatenate([stream.value() for _ in range(10)])
    expected = reference(planned.path, {"x": x, **zeros(x.shape[1])})["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_server_that_leaves_answers_what_was_begun_and_ends_its_streams(serving, double, streams):
    with serving(double, grpc_port=0) as running:
        stream = streams(running)
        stream.send("double", numbers(-1))
        assert double.entered.wait(60)
        running.stop()
        wait_until(lambda: running.registry.draining)
        double.door.set()
        assert stream.value().tolist() == [-2]
        _, error = stream.next()
        assert "UNAVAILABLE" in str(error.status())


def test_an_idle_stream_stays_open_and_holds_up_no_end(serving, double, streams):
    with serving(double, grpc_port=0, idle_seconds=0.2) as running:
        stream = streams(running)
        stream.send("double", numbers(1))
        assert stream.value().tolist() == [2]
        with triton.InferenceServerClient(running.where.grpc_address) as other:
            for _ in range(20):
                other.is_server_live()
        threading.Event().wait(1.0)  # five times as long as a connection without a call may be idle
        stream.send("double", numbers(3))
        assert stream.value().tolist() == [6]


def test_many_streams_at_once_by_the_asynchronous_client(serving, session):
    async def speak(client, seed):
        x = speech(seed, 12)

        async def requests():
            for start in (0, 4, 8):
                yield {
                    "model_name": "m",
                    "inputs": [tensor("x", x[start : start + 4])],
                    "sequence_id": 1,
                    "sequence_start": start == 0,
                    "sequence_end": start == 8,
                }

        parts = []
        async for result, error in client.stream_infer(requests()):
            assert error is None, error
            parts.append(result.as_numpy("y"))
        return x, np.concatenate(parts)

    async def main(address):
        async with tritonclient.grpc.aio.InferenceServerClient(address) as client:
            return await asyncio.gather(*(speak(client, seed) for seed in range(50)))

    with serving(session, grpc_port=0) as running:
        answers = asyncio.run(main(running.where.grpc_address))
        assert session.sequences.active == 0
    for x, found in answers:
        assert found.shape[0] == x.shape[0]
