"""Runs that end: at their deadline, when their client has left, and without a trace for anybody else."""

import socket
import threading
import time

import numpy as np
import orjson
import pytest
from tritonclient.utils import InferenceServerException

from chrion_runtime.planned_model import PlannedModel
from tests.support.plans import Planned
from tests.support.rounds import BUCKET, FOR_EVER, STATE, rounds
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rounds")
    first = Planned(rounds(), folder / "whole", BUCKET)
    spread = [([0], ("cpu/0",)), ([1], ("cpu/1",))]
    return {"whole": first, "stages": Planned(rounds(), folder / "stages", BUCKET, spread)}


@pytest.fixture(params=["whole", "stages"])
def session(request, planned):
    one = planned[request.param]
    return PlannedModel(one.normalised, one.plan_file, name="m", state=STATE)


def asked(steps, **parameters):
    inputs = {"steps": ("INT64", [], [steps]), "x": ("FP32", [4], [1.0, 2.0, 3.0, 4.0])}
    if "sequence_id" not in parameters:
        inputs["count"] = ("INT64", [1], [0])
    tensors = [{"name": n, "datatype": d, "shape": s, "data": v} for n, (d, s, v) in inputs.items()]
    outputs = [{"name": "last"}, {"name": "next"}]
    return {"inputs": tensors, "outputs": outputs, "parameters": parameters}


def infer(http, running, steps, milliseconds=None, **parameters):
    headers = {} if milliseconds is None else {"X-Request-Timeout-Ms": str(milliseconds)}
    url = f"http://{running.address}/v2/models/m/infer"
    return http("POST", url, data=orjson.dumps(asked(steps, **parameters)), headers=headers)


def counted(answer):
    return answer.json["outputs"][1]["data"]


def test_a_run_ends_at_its_deadline_and_leaves_the_lanes_to_others(session, serving, http):
    with serving(session) as running:
        for _ in range(5):
            assert infer(http, running, 3).status == 200  # short, so that the event loop may run such requests
        ended = infer(http, running, FOR_EVER, 200)
        assert ended.status == 504
        assert "not answered within 200 ms" in ended.json["error"]
        # As many again as there are threads for it.
        assert [infer(http, running, FOR_EVER, 100).status for _ in range(3)] == [504, 504, 504]
        assert infer(http, running, 3).status == 200
        wait_until(lambda: running.registry.models[0].queue.pending == 0, "the run ends")
        assert running.registry.models[0].ready


def test_a_run_ends_when_its_client_has_left(session, serving, http):
    with serving(session) as running:
        body = orjson.dumps(asked(FOR_EVER))
        queue = running.registry.models[0].queue
        with socket.create_connection(("127.0.0.1", running.where.port)) as client:
            client.sendall(
                b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            wait_until(lambda: queue.pending == 1, "the run begins")
        wait_until(lambda: queue.pending == 0, "the run ends")
        assert infer(http, running, 3).status == 200


def test_a_run_ends_when_its_grpc_client_has_left(session, serving):
    grpc = pytest.importorskip("tritonclient.grpc")
    with serving(session, grpc_port=0) as running:
        client = grpc.InferenceServerClient(running.where.grpc_address)
        inputs = []
        for name, array, datatype in (
            ("steps", np.array(FOR_EVER), "INT64"),
            ("x", np.ones(4, np.float32), "FP32"),
            ("count", np.zeros(1, np.int64), "INT64"),
        ):
            inputs.append(grpc.InferInput(name, list(array.shape), datatype))
            inputs[-1].set_data_from_numpy(array)
        queue = running.registry.models[0].queue
        with pytest.raises(InferenceServerException, match=r"(?i)deadline"):
            client.infer("m", inputs, client_timeout=0.2)
        wait_until(lambda: queue.pending == 0, "the run ends")


def test_the_objective_ends_a_run_long_after_what_it_wants(make_model, serving, http):
    entered = threading.Event()

    class Patient(make_model):
        def run(self, inputs, outputs=None, sequence=None, observer=None, stop=None):
            entered.set()
            began = time.monotonic()
            while not stop.is_set:
                assert time.monotonic() - began < 60
                time.sleep(0.01)
            stop.check()

    model = Patient(None, {"x": ("FP32", (None,))}, {"y": ("FP32", (None,))}, deadline=0.02)
    with serving(model) as running:
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}
        answer = http("POST", f"http://{running.address}/v2/models/m/infer", data=orjson.dumps(body))
    assert answer.status == 504
    assert "within 1000 ms" in answer.json["error"]
    assert entered.is_set()


def test_no_run_takes_longer_than_the_server_allows(session, serving, http):
    with serving(session, run_seconds=0.2) as running:
        assert infer(http, running, FOR_EVER).status == 504
        assert infer(http, running, FOR_EVER, 600_000).status == 504
        assert infer(http, running, 3).status == 200


def test_a_stopped_run_does_not_advance_its_sequence(session, serving, http):
    with serving(session) as running:
        assert counted(infer(http, running, 3, sequence_id=7, sequence_start=True)) == [1]
        assert infer(http, running, FOR_EVER, 100, sequence_id=7).status == 504
        assert infer(http, running, FOR_EVER, 100, sequence_id=7).status == 504
        assert counted(infer(http, running, 3, sequence_id=7)) == [2]
        # One that was stopped as it began has no state.
        assert infer(http, running, FOR_EVER, 100, sequence_id=8, sequence_start=True).status == 504
        assert infer(http, running, 3, sequence_id=8).status == 409


def test_requests_that_wait_for_their_turn_are_answered_at_their_deadline(session, serving, http):
    with serving(session) as running:
        assert infer(http, running, 3, sequence_id=7, sequence_start=True).status == 200
        first = threading.Thread(target=infer, args=(http, running, FOR_EVER, 2000), kwargs={"sequence_id": 7})
        first.start()
        wait_until(lambda: running.registry.models[0].queue.pending == 1, "the run begins")
        assert infer(http, running, 3, 100, sequence_id=7).status in (503, 504)
        first.join()
        assert counted(infer(http, running, 3, sequence_id=7)) == [2]


def test_a_request_of_a_batch_ends_alone(make_model, serving, http):
    entered, doors = threading.Semaphore(0), threading.Semaphore(0)
    seen = []

    class Batched(make_model):
        def run(self, inputs, outputs=None, sequence=None, observer=None, stop=None):
            entered.release()
            rows = len(inputs["x"])
            while not doors.acquire(timeout=0.01):
                stop.check()
            seen.append(rows)
            return {"y": inputs["x"]}

    model = Batched(None, {"x": ("FP32", (None, 1))}, {"y": ("FP32", (None, 1))}, concurrency=1)
    found = {}

    def ask(name, milliseconds=None):
        headers = {} if milliseconds is None else {"X-Request-Timeout-Ms": str(milliseconds)}
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1]}]}
        url = f"http://{running.address}/v2/models/m/infer"
        found[name] = http("POST", url, data=orjson.dumps(body), headers=headers).status

    with serving(model, batch=8) as running:
        threads = [threading.Thread(target=ask, args=("first",))]
        threads[0].start()
        assert entered.acquire(timeout=30)
        waiting = running.registry.models[0]._inference._batcher._waiting
        for name, milliseconds in (("hurried", 600), ("patient", None)):
            threads.append(threading.Thread(target=ask, args=(name, milliseconds)))
            threads[-1].start()
        wait_until(lambda: len(waiting) == 2, "both wait")
        doors.release()
        threads[0].join()
        assert entered.acquire(timeout=30)  # the two of them, together
        threads[1].join()
        assert found["hurried"] == 504
        doors.release(9)
        threads[2].join()
    assert found == {"first": 200, "hurried": 504, "patient": 200}
    assert 2 in seen, "the one that was late took nothing from the other"


def test_a_run_that_does_not_end_shows(make_gate, serving, http, monkeypatch):
    monkeypatch.setattr("chrion_runtime.serve.models.registry.STUCK_SECONDS", 0.1)
    monkeypatch.setattr("chrion_runtime.serve.models.registry.LOST_SECONDS", 0.3)
    gate = make_gate()
    with serving(gate.model) as running:
        server, model = f"http://{running.address}/v2/health", f"http://{running.address}/v2/models/gate/ready"
        body = {"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [1]}]}
        infer_url = f"http://{running.address}/v2/models/gate/infer"
        headers = {"X-Request-Timeout-Ms": "50"}
        assert http("POST", infer_url, data=orjson.dumps(body), headers=headers).status == 504
        wait_until(lambda: http("GET", model).status == 503, "the model is not ready")
        assert "told to stop" in http("GET", model).json["error"]
        assert http("GET", f"{server}/ready").status == 503
        wait_until(lambda: http("GET", f"{server}/live").status == 503, "the server is lost")
        gate.open.set()
        wait_until(lambda: http("GET", model).status == 200, "the model is ready again")
        assert http("GET", f"{server}/ready").status == 200
        assert http("GET", f"{server}/live").status == 200


@pytest.mark.parametrize("shape", [[1 << 20, 0], [0, 1 << 20], [0, 0]])
def test_what_was_learnt_of_small_requests_is_not_trusted_for_empty_ones(make_model, serving, http, shape):
    threads = set()

    def function(x):
        threads.add((x.shape, threading.current_thread().name))
        return {"y": x.sum(axis=1)}

    model = make_model(function, {"x": ("FP32", (None, None))}, {"y": ("FP32", (None,))})
    with serving(model) as running:

        def ask(shape, data):
            body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": shape, "data": data}]}
            body["outputs"] = [{"name": "y", "parameters": {"binary_data": True}}]
            return http("POST", f"http://{running.address}/v2/models/m/infer", data=orjson.dumps(body)).status

        for _ in range(5):
            assert ask([1, 1], [1]) == 200
        assert ask(shape, []) == 200
    mine = {name for seen, name in threads if seen == tuple(shape)}
    assert all(name.startswith("chrion-m") for name in mine), "on a thread of the model's queue"
