"""`chrion serve`: which plans it takes, and which of them it serves by."""

import signal
import urllib.error
import urllib.request

import pytest

from chrion_api import PlanFile


@pytest.fixture(scope="module")
def plans(frontier_file):
    """The frontier from the fastest to the smallest plan."""
    return PlanFile.from_json(frontier_file.read_text()).buckets[0].plans


@pytest.fixture
def check(model, case, case_inputs, ask, reference, assert_equal):
    """`check(server)`: it answers as ONNX Runtime does."""

    def compare(server):
        for seed in range(3):
            feeds = case_inputs(case, seed)
            assert_equal(ask(server, feeds), reference(model, feeds))

    return compare


def test_measured_plan(chrion, serving, model, plan_file, check):
    with serving(chrion, "serve", model, "--plan", plan_file, "--name", "renamed") as server:
        assert server.name == "renamed"
        check(server)


def test_plan_over_an_emulated_accelerator(chrion, serving, model, frontier_file, plans, check):
    assert "emulated:0" in plans[0].devices
    with serving(chrion, "serve", model, "--plan", frontier_file) as server:
        (bucket,) = server.plans()
        assert bucket["plan"]["name"] == plans[0].name
        assert any(stage["lanes"] == ["emulated:0/0"] for stage in bucket["plan"]["stages"])
        assert bucket["frontier"] == [plan.name for plan in plans]
        check(server)


def test_gpu_memory_too_small_for_all_but_the_cpu(chrion, serving, model, frontier_file, check):
    with serving(chrion, "serve", model, "--plan", frontier_file, "--gpu-memory", "1") as server:
        (bucket,) = server.plans()
        assert {stage["lanes"][0] for stage in bucket["plan"]["stages"]} == {"cpu/0"}
        assert "within 1 of GPU memory" in bucket["reason"]
        check(server)


def test_gpu_memory_too_small_for_all(quick, model, frontier_file, edited, refusal):
    without_cpu = edited(frontier_file, lambda value: value["buckets"][0]["plans"].pop())
    line = refusal(quick("serve", model, "--plan", without_cpu, "--gpu-memory", "1", "--port", "0"))
    assert "slo.gpuMemory: 1 is less than any plan needs" in line


def test_memory_mode_takes_the_smallest_that_meets_the_latency(chrion, serving, model, frontier_file, plans):
    fastest, *_, smallest = plans
    between = (fastest.predicted_seconds + smallest.predicted_seconds) / 2
    meeting = [plan for plan in plans if plan.predicted_seconds <= between]
    for seconds, chosen in ((smallest.predicted_seconds * 2, smallest), (between, meeting[-1])):
        options = ["--mode", "memory", "--latency", f"{seconds * 1e6:.3f}us"]
        with serving(chrion, "serve", model, "--plan", frontier_file, *options) as server:
            (bucket,) = server.plans()
            assert bucket["plan"]["name"] == chosen.name
            assert bucket["meetsSLO"]


def test_plan_of_another_model(quick, other_model, plan_file, refusal):
    assert "the plan was made for model" in refusal(quick("serve", other_model, "--plan", plan_file, "--port", "0"))


def test_plan_of_another_device(chrion, serving, model, plan_file, edited, refusal, check):
    def elsewhere(value):
        value["devices"]["cpu"]["product"] = "Another CPU"

    foreign = edited(plan_file, elsewhere)
    line = refusal(chrion("serve", model, "--plan", foreign, "--port", "0"))
    assert "'Another CPU'" in line
    assert "--any-device" in line
    with serving(chrion, "serve", model, "--plan", foreign, "--any-device") as server:
        check(server)


def test_plan_for_a_device_that_is_not_here(quick, model, plan_file, edited, refusal):
    def elsewhere(value):
        value["devices"]["cuda:7"] = value["devices"]["cpu"]

    command = ["serve", model, "--plan", edited(plan_file, elsewhere), "--any-device", "--port", "0"]
    assert "cuda:7" in refusal(quick(*command))


def test_plan_for_more_lanes_than_there_are(quick, model, plan_file, edited, refusal):
    def wider(value):
        value["buckets"][0]["plans"] = value["buckets"][0]["plans"][:1]
        value["buckets"][0]["plans"][0]["stages"][0]["lanes"] = ["cpu/4095"]

    line = refusal(quick("serve", model, "--plan", edited(plan_file, wider), "--port", "0"))
    assert "cpu/4095" in line


def test_control_c_ends_it_in_order(chrion, serving, model, plan_file):
    with serving(chrion, "serve", model, "--plan", plan_file) as server:
        server.process.signal(signal.SIGINT)
        assert server.process.end() == 0
    server.process.wait_for_no_survivors()


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_port_that_is_none(quick, model, plan_file, refusal, port):
    line = refusal(quick("serve", model, "--plan", plan_file, "--port", port))
    assert port in line


def test_host_that_is_not_here(quick, model, plan_file, refusal):
    line = refusal(quick("serve", model, "--plan", plan_file, "--port", "0", "--host", "192.0.2.1"))
    assert "192.0.2.1" in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--token-file", "nowhere"], "--token-file: nowhere: cannot be read"),
        (["--tls-cert", "cert.pem"], "--tls-cert and --tls-key belong together"),
        (["--tls-cert", "nowhere", "--tls-key", "nowhere"], "--tls-cert: nowhere: cannot be read"),
        (["--max-body", "much"], "--max-body"),
        (["--max-bodies", "0"], "--max-bodies: must be greater than zero"),
        (["--read-timeout", "soon"], "--read-timeout"),
        (["--name", "a/b"], "model 'a/b': the name is part of the API's paths"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_the_start(quick, model, plan_file, refusal, options, words):
    assert words in refusal(quick("serve", model, "--plan", plan_file, "--port", "0", *options))


def test_tokens_and_limits_of_the_command_line(chrion, serving, model, plan_file, tmp_path):
    token = "a-token-of-a-test-that-is-long"
    (tmp_path / "tokens").write_text(f"{token}\n")
    options = ("--token-file", tmp_path / "tokens", "--max-body", "1Ki")
    with serving(chrion, "serve", model, "--plan", plan_file, "--port", "0", *options) as server:
        url = f"http://{server.address}/v2/models/{server.name}"
        bearing = {"Authorization": f"Bearer {token}"}
        found = []
        for headers, body in (({}, None), (bearing, None), (bearing, bytes(2000))):
            request = urllib.request.Request(url if body is None else f"{url}/infer", data=body, headers=headers)
            try:
                with urllib.request.urlopen(request) as answer:
                    found.append(answer.status)
            except urllib.error.HTTPError as error:
                found.append(error.code)
        assert found == [401, 200, 413]
