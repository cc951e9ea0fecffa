"""What the second port says."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chrion_runtime.server import metrics

X = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}


def samples(http, running):
    answer = http("GET", running.where.metrics_url)
    assert answer.headers["Content-Type"].startswith("text/plain")
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
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
    assert values["chrion_stage_seconds_count", "add", "cpu:0"] == 3
    assert values["chrion_stage_seconds_sum", "add", "cpu:0"] == pytest.approx(0.003)
    assert values["chrion_requests_in_flight", "add"] == 0
    assert values["chrion_queue_length", "add"] == 0
    assert values["chrion_response_bytes_total", "add"] == 3 * length
    assert values["chrion_request_bytes_total", "add"] > 3 * 50
    assert any(key[0] == "chrion_model_info" and "add" in key for key in values)
    assert "other" not in text


def test_all_metrics_are_documented(serving, add, http):
    with serving(add) as running:
        text = http("GET", running.where.metrics_url).body.decode()
    families = [family for family in text_string_to_metric_families(text) if not family.name.endswith("_created")]
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
