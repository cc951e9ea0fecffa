"""What the second port says."""

import math
import re
import threading
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chrion_api import SLO, Frontier, GpuBytes, Latency, Mode, Plan, Stage
from chrion_runtime.choice.selection import Selection
from chrion_runtime.errors import RunError
from chrion_runtime.latencies import window
from chrion_runtime.serve import metrics
from chrion_runtime.serve.metrics.model import MOST_STAGES

X = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}


def samples(http, running):
    """Every sample by its name and the values of its labels, in the order of the labels' names."""
    answer = http("GET", running.where.metrics_url)
    assert answer.headers["Content-Type"].startswith("text/plain")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def test_metrics(serving, add, http):
    with serving(add) as running:
        url = f"{running.where.url}/v2/models/add/infer"
        for _ in range(3):
            length = len(http("POST", url, json={"inputs": [X]}).body)
        http("POST", url, data=b"{}")
        http("POST", f"{running.where.url}/v2/models/other/infer", data=b"{}")
        values = samples(http, running)
        text = http("GET", running.where.metrics_url).body.decode()
    assert values["chrion_request_seconds_count", "add", "ok"] == 3
    assert values["chrion_request_seconds_count", "add", "refused"] == 1
    assert values["chrion_queue_wait_seconds_count", "add"] == 3, "what is refused waits for nothing"
    assert values["chrion_errors_total", "add", "bad_request"] == 1
    for lane in ("cpu/0", "cpu/1"):
        assert values["chrion_stage_seconds_count", lane, "add"] == 3
        assert values["chrion_stage_seconds_sum", lane, "add"] == pytest.approx(0.003)
        assert values["chrion_stage_seconds_bucket", lane, "0.0005", "add"] == 0
        assert values["chrion_stage_seconds_bucket", lane, "0.001", "add"] == 3
        assert values["chrion_lane_busy_seconds_total", lane] == pytest.approx(0.003)
    stage = ("x=1x2", "cpu/0,cpu/1", "add", "cpu-all", "0")
    assert values["chrion_stage_run_seconds_count", *stage] == 3
    assert values["chrion_stage_run_seconds_sum", *stage] == pytest.approx(0.003)
    assert values["chrion_requests_in_flight", "add"] == 0
    assert values["chrion_queue_length", "add"] == 0
    assert values["chrion_response_bytes_total", "add"] == 3 * length
    assert values["chrion_request_bytes_total", "add"] > 3 * 50
    assert any(key[0] == "chrion_model_info" and "add" in key for key in values)
    assert "other" not in text


def test_all_metrics_are_documented(serving, add, http):
    with serving(add) as running:
        text = http("GET", running.where.metrics_url).body.decode()
    families = [
        family for family in text_string_to_metric_families(text) if not family.name.startswith(("process_", "python_"))
    ]
    names = {family.name + "_total" * (family.type == "counter") for family in families}
    documented = set(re.findall(r"^\| `(\w+)` \|", metrics.__doc__, re.MULTILINE))
    assert names == documented
    assert all(name.startswith("chrion_") for name in names)


def test_two_servers_in_one_process_do_not_share_metrics(serving, add, make_model, http):
    other = make_model(dict, {}, {}, name="other")
    with serving(add) as one, serving(other) as two:
        assert b"other" not in http("GET", one.where.metrics_url).body
        assert b"other" in http("GET", two.where.metrics_url).body


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready"])
def test_health_on_the_second_port(serving, add, http, path):
    with serving(add) as running:
        base = f"http://127.0.0.1:{running.where.metrics_port}"
        assert http("GET", base + path).status == 200
        answer = http("GET", f"{base}/v2/models/add")
        assert (answer.status, set(answer.json)) == (404, {"error"})


def test_errors_by_reason(serving, make_model, make_gate, http):
    def fail(x):
        raise RunError("node 3: no")

    failing = make_model(fail, {"x": ("FP32", (None,))}, {"x": ("FP32", (None,))}, name="failing")
    gate = make_gate(concurrency=1)
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}
    whole = {"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [1]}]}
    with serving(failing, gate.model, queue_limit=0, body_limit=1000) as running:
        url = f"{running.where.url}/v2/models/failing/infer"
        assert http("POST", url, json=body).status == 500
        assert http("POST", url, data=bytes(1001)).status == 413
        assert http("POST", url, data=b"x", headers={"Content-Encoding": "br"}).status == 415
        gate_url = f"{running.where.url}/v2/models/gate/infer"
        first = threading.Thread(target=http, args=("POST", gate_url), kwargs={"json": whole})
        first.start()
        assert gate.entered.acquire(timeout=60)
        assert http("POST", gate_url, json=whole).status == 503
        assert samples(http, running)["chrion_requests_in_flight", "gate"] == 1
        gate.open.set()
        first.join()
        values = samples(http, running)
    errors = {key[1:]: value for key, value in values.items() if key[0] == "chrion_errors_total"}
    assert errors == {
        ("failing", "run_error"): 1,
        ("failing", "too_large"): 1,
        ("failing", "unsupported_encoding"): 1,
        ("gate", "queue_full"): 1,
    }
    assert values["chrion_request_seconds_count", "failing", "failed"] == 1
    assert values["chrion_request_seconds_count", "gate", "overloaded"] == 1


@pytest.fixture
def planned(make_model):
    """Makes a servable that tells its objective and its plans."""

    def make(slo):
        plans = tuple(
            Plan(
                name=name,
                graph="0" * 64,
                stages=(Stage(nodes=(0,), lanes=("cpu/0",)),),
                predicted_seconds=0.5,
                measured=Latency(p50=0.1, p90=0.18, p99=0.2, repetitions=9),
                gpu_bytes=GpuBytes(weights=nbytes),
            )
            for name, nbytes in (("fast", 2048), ("small", 0))
        )
        model = make_model(lambda x: {"y": x}, {"x": ("FP32", (None,))}, {"y": ("FP32", (None,))})
        model.slo, model.mode, model.off_profile = SLO.parse(slo), Mode.LATENCY, 5
        model.in_use = (
            (Frontier(inputs={"x": (1,)}, plans=plans), Selection(plans[0], "the fastest plan", True)),
            (Frontier(inputs={"x": (8,)}, plans=plans), Selection(plans[1], "none meets", False)),
        )
        return model

    return make


def test_the_objective_and_whether_it_is_held(serving, planned, http):
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}
    with serving(planned({"latency": "1ns", "percentile": 95, "gpuMemory": "4Ki"})) as running:
        assert ("chrion_slo_observed_seconds", "m", "95") not in samples(http, running)
        for _ in range(3):
            http("POST", f"{running.where.url}/v2/models/m/infer", json=body)
        http("POST", f"{running.where.url}/v2/models/m/infer", data=b"{}")
        values = samples(http, running)
    assert values["chrion_slo_latency_seconds", "m", "95"] == 1e-9
    assert values["chrion_slo_observed_seconds", "m", "95"] > 0
    assert values["chrion_slo_missed_total", "m"] == 3
    assert values["chrion_slo_gpu_memory_bytes", "m"] == 4096
    assert values["chrion_plan_info", "x=1", "Latency", "m", "fast"] == 1
    assert values["chrion_plan_info", "x=8", "Latency", "m", "small"] == 1
    assert values["chrion_plan_seconds", "x=1", "m"] == pytest.approx(0.18 + 0.02 * 5 / 9)
    assert values["chrion_plan_meets_slo", "x=8", "m"] == 0
    assert values["chrion_off_profile_requests_total", "m"] == 5


def test_an_objective_that_is_changed_counts_from_then_on(serving, planned, http, monkeypatch):
    monkeypatch.setattr(window, "PARTS", math.inf)
    model = planned({"latency": "1h"})
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}
    with serving(model) as running:
        url = f"{running.where.url}/v2/models/m/infer"
        for slo in (SLO.parse({"latency": "1h"}), SLO.parse({"latency": "1ns"}), SLO()):
            model.slo = slo
            http("POST", url, json=body)
            values = samples(http, running)  # the answer before it has been counted then
    assert values["chrion_slo_missed_total", "m"] == 1
    assert not [key for key in values if key[0] == "chrion_slo_latency_seconds"]


def test_plans_cannot_flood_prometheus(serving, add, http):
    with serving(add) as running:
        (tell,) = add.observers
        for plan in range(5):
            for index in range(1000):
                tell(replace(add.stage, plan=f"plan {plan}", index=index, lanes=("cpu/0",)), 0.0, 0.001)
        values = samples(http, running)
    stages = {key: value for key, value in values.items() if key[0] == "chrion_stage_run_seconds_count"}
    assert len(stages) == MOST_STAGES + 1
    assert sum(stages.values()) == values["chrion_stage_seconds_count", "cpu/0", "add"] == 5000
    assert stages["chrion_stage_run_seconds_count", "other", "cpu/0", "add", "other", "other"] == 5000 - MOST_STAGES


def test_openmetrics(serving, add, http):
    with serving(add) as running:
        answer = http("GET", running.where.metrics_url, headers={"Accept": "application/openmetrics-text"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")
    assert b"process_resident_memory_bytes" in answer.body
