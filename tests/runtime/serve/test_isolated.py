"""Served models in processes of their own: a crash costs the models of one process, for a moment."""

import os
import signal
import threading

import orjson
import pytest

from chrion_runtime.isolation import Group
from tests.support.plans import Planned
from tests.support.rounds import BUCKET, FOR_EVER, STATE, rounds
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    return Planned(rounds(), tmp_path_factory.mktemp("rounds"), BUCKET)


@pytest.fixture
def groups(planned):
    """A group for each of two models, by name; served, they are closed with the server."""
    found = {name: Group(name) for name in ("crashing", "calm")}
    models = [group.open([(name, planned.opening(name=name, state=STATE))])[0] for name, group in found.items()]
    return found, models


def asked(steps, **parameters):
    tensors = {"steps": ("INT64", [], [steps]), "x": ("FP32", [4], [1.0, 2.0, 3.0, 4.0])}
    if not parameters:
        tensors["count"] = ("INT64", [1], [0])
    inputs = [{"name": n, "datatype": d, "shape": s, "data": v} for n, (d, s, v) in tensors.items()]
    return orjson.dumps({"inputs": inputs, "parameters": parameters})


def test_a_crash_costs_one_model(groups, serving, http):
    groups, models = groups
    with serving(*models) as running:

        def infer(name, steps=3, **parameters):
            return http("POST", f"http://{running.address}/v2/models/{name}/infer", data=asked(steps, **parameters))

        def ready(name):
            return http("GET", f"http://{running.address}/v2/models/{name}/ready").status

        for name in groups:
            assert [infer(name).status for _ in range(5)] == [200] * 5
        assert infer("crashing", sequence_id=1, sequence_start=True).status == 200
        lost = []
        thread = threading.Thread(target=lambda: lost.append(infer("crashing", FOR_EVER)))
        thread.start()
        wait_until(lambda: running.registry.model("crashing").queue.pending == 1, "it runs")
        os.kill(groups["crashing"]._life.pid, signal.SIGFPE)
        thread.join(60)
        assert lost[0].status == 503
        assert lost[0].headers["Retry-After"]
        assert infer("calm").status == 200
        assert http("GET", f"http://{running.address}/v2/health/ready").status == 200
        wait_until(lambda: ready("crashing") == 200, "it is back")
        assert infer("crashing").status == 200
        again = infer("crashing", sequence_id=1)
        assert again.status == 409
        assert "sequence_start" in again.json["error"]
        assert (
            'chrion_process_restarts_total{model="crashing"} 1.0'
            in http("GET", running.where.metrics_url).body.decode()
        )


def test_ready_tells_that_a_model_has_no_process(groups, serving, http, monkeypatch):
    monkeypatch.setattr("chrion_runtime.isolation.group.FIRST_SECONDS", 5.0)
    groups, models = groups
    with serving(*models) as running:
        os.kill(groups["crashing"]._life.pid, signal.SIGKILL)
        url = f"http://{running.address}/v2/models/crashing"
        wait_until(lambda: http("GET", f"{url}/ready").status == 503, "it is not ready")
        refused = http("POST", f"{url}/infer", data=asked(3))
        assert refused.status == 503
        assert "is restarting" in refused.json["error"]
        assert http("GET", f"{url}/plan").json["process"] == "restarting"
        os.kill(groups["calm"]._life.pid, signal.SIGKILL)
        wait_until(lambda: http("GET", f"http://{running.address}/v2/health/ready").status == 503, "no model is ready")
        assert http("GET", f"http://{running.address}/v2/health/live").status == 200


def test_a_run_ends_at_its_deadline_there_too(groups, serving, http):
    _, models = groups
    with serving(*models) as running:
        url = f"http://{running.address}/v2/models/crashing/infer"
        for parameters in ({}, {"sequence_id": 1, "sequence_start": True}):
            body = asked(FOR_EVER, **parameters)

            def admitted(body=body):  # not while the run before still counts as ahead
                answer = http("POST", url, data=body, headers={"X-Request-Timeout-Ms": "200"})
                return answer if answer.status != 503 else None

            answer = wait_until(admitted, "the run before has ended")
            assert answer.status == 504
            assert "within 200 ms" in answer.json["error"]
            assert http("POST", url, data=asked(3)).status == 200
        assert http("POST", url, data=asked(3, sequence_id=1)).status == 409, "what was stopped left no state"
