"""Traces as a real collector receives them, and lines of the log."""

import json
import logging
import subprocess
import sys

import pytest

from chrion_runtime.errors import RunError
from chrion_runtime.serve.telemetry import telemetry
from chrion_runtime.serve.telemetry.fields import trace_id
from chrion_runtime.serve.telemetry.logs import RequestJsonFormatter, TextFormatter
from tests.support.otlp import attributes, receiving

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
X = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}


@pytest.fixture
def collector():
    with receiving() as receiver:
        yield receiver


@pytest.mark.parametrize("chunked", [False, True])
def test_a_request_and_its_stages_are_one_trace_below_the_caller_s_span(serving, add, http, collector, chunked):
    """`chunked` takes aiohttp's way through the server, the other the short one."""
    with serving(add, otlp_endpoint=collector.url) as running:
        url = f"{running.where.url}/v2/models/add/infer"
        if chunked:
            body = json.dumps({"id": "7", "inputs": [X]}).encode()
            assert http("POST", url, data=body, headers=TRACEPARENT, chunked=True).status == 200
        else:
            assert http("POST", url, json={"id": "7", "inputs": [X]}, headers=TRACEPARENT).status == 200
    spans = {span.name: span for _, span in collector.spans}
    assert [service for service, _ in collector.spans] == ["chrion", "chrion"]
    request, stage = spans["POST /v2/models/{model}/infer"], spans["stage 0"]
    assert request.trace_id.hex() == stage.trace_id.hex() == TRACE
    assert request.parent_span_id.hex() == PARENT
    assert stage.parent_span_id == request.span_id
    found = attributes(request)
    assert found["chrion.model"] == "add"
    assert found["chrion.request.id"] == "7"
    assert found["http.response.status_code"] == 200
    assert attributes(stage) == {
        "chrion.stage": 0,
        "chrion.plan": "cpu-all",
        "chrion.bucket": "x=1x2",
        "chrion.lanes": ("cpu/0", "cpu/1"),
    }
    assert request.start_time_unix_nano <= stage.start_time_unix_nano < stage.end_time_unix_nano
    assert stage.end_time_unix_nano - stage.start_time_unix_nano == 1_000_000


def test_requests_that_fail(serving, make_model, http, collector):
    def fail(x):
        raise RunError("node 3: no")

    model = make_model(fail, {"x": ("FP32", (None, 2))}, {"x": ("FP32", (None, 2))})
    with serving(model, otlp_endpoint=collector.url) as running:
        url = f"{running.where.url}/v2/models/m/infer"
        assert http("POST", url, json={"inputs": [X]}).status == 500
        assert http("POST", url, data=b"{}").status == 400
    failed, refused = (span for _, span in collector.spans)
    assert (failed.status.code, failed.status.message) == (2, "node 3: no")
    assert attributes(failed)["error.type"] == "RunError"
    assert attributes(refused)["http.response.status_code"] == 400
    assert refused.status.code == 0, "the client's fault is no error of the server"


def test_requests_in_a_batch_each_have_the_stages(serving, add, http, collector):
    with serving(add, otlp_endpoint=collector.url, batch=8) as running:
        url = f"{running.where.url}/v2/models/add/infer"
        assert http("POST", url, json={"inputs": [X]}, headers=TRACEPARENT).status == 200
    assert sorted(span.name for _, span in collector.spans) == ["POST /v2/models/{model}/infer", "stage 0"]


def test_what_is_not_sampled_is_not_sent(serving, add, http, collector):
    with serving(add, otlp_endpoint=collector.url) as running:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
        assert http("POST", f"{running.where.url}/v2/models/add/infer", json={"inputs": [X]}, headers=headers)
    assert not collector.spans


def test_the_standard_variables(serving, add, http, collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "noise")
    with serving(add) as running:
        assert http("POST", f"{running.where.url}/v2/models/add/infer", json={"inputs": [X]}).status == 200
    assert {service for service, _ in collector.spans} == {"noise"}
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert telemetry(None) is None


def test_off_by_default_and_then_not_even_imported():
    code = (
        "import sys; from chrion_runtime.serve.models.registry import ModelRegistry;"
        "from chrion_runtime.serve.options import ServerOptions;"
        "registry = ModelRegistry([], ServerOptions());"
        "assert registry.telemetry is None; registry.close(1);"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_collector_that_is_not_there_keeps_nobody(serving, add, http):
    with serving(add, otlp_endpoint="http://127.0.0.1:9") as running:
        assert http("POST", f"{running.where.url}/v2/models/add/infer", json={"inputs": [X]}).status == 200


def test_every_request_is_a_line_at_debug_and_none_at_info(serving, add, http, caplog):
    for level, lines in (("INFO", 0), ("DEBUG", 2)):
        caplog.clear()
        add.closed = False
        with caplog.at_level(level, logger="chrion_runtime.serve.access"), serving(add) as running:
            url = f"{running.where.url}/v2/models/add/infer"
            http("POST", url, json={"id": "7", "inputs": [X]}, headers=TRACEPARENT)
            http("POST", url, data=b"{}")
            add.closed = False
        found = [record for record in caplog.records if record.name == "chrion_runtime.serve.access"]
        assert len(found) == lines
    first, second = found
    assert "POST /v2/models/add/infer 200 " in first.getMessage()
    assert (first.model, first.request_id, first.trace_id) == ("add", "7", TRACE)
    assert "POST /v2/models/add/infer 400 " in second.getMessage()


def test_failures_are_lines_with_the_request_and_the_trace(serving, make_model, http, caplog):
    def fail(x):
        if x[0, 0] == 1:
            raise RunError("node 3: no")
        raise ZeroDivisionError("secret")

    model = make_model(fail, {"x": ("FP32", (None, 2))}, {"x": ("FP32", (None, 2))})
    with serving(model) as running:
        url = f"{running.where.url}/v2/models/m/infer"
        http("POST", url, json={"id": "one", "inputs": [X]}, headers=TRACEPARENT)
        http("POST", url, json={"id": "two", "inputs": [X | {"data": [0, 0]}]}, headers=TRACEPARENT)
        http("POST", url, data=b"{}")
    run_error, defect = [json.loads(RequestJsonFormatter().format(record)) for record in caplog.records]
    assert run_error["level"] == "warning"
    assert run_error["message"] == "POST /v2/models/m/infer failed: node 3: no"
    assert (run_error["requestId"], run_error["traceId"]) == ("one", TRACE)
    assert defect["level"] == "error"
    assert defect["error"]["type"] == "ZeroDivisionError"
    assert defect["traceId"] == TRACE


def test_text_lines_hold_the_fields_too():
    record = logging.makeLogRecord({"name": "a", "levelname": "INFO", "msg": "it %s", "args": ("ran",)})
    record.request_id, record.trace_id = "7", None
    assert TextFormatter().format(record).endswith(" INFO a: it ran requestId=7")


def test_a_json_line_is_one_line_whatever_it_says():
    record = logging.makeLogRecord({"name": "a", "levelname": "INFO", "msg": 'two\nlines, "quoted", \ud800'})
    line = RequestJsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == 'two\nlines, "quoted", \ud800'


@pytest.mark.parametrize(
    "text",
    ["", "00", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{PARENT}", "x" * 10_000],
)
def test_what_is_no_traceparent(text):
    assert trace_id({"traceparent": text}) is None
