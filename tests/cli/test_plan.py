"""`chrion plan`: what it writes, that a profile decides it to the byte, and what it says of an objective."""

import json
from pathlib import Path

import jsonschema
import pytest

from chrion_api import PlanFile

SCHEMA = Path(__file__).parents[2] / "docs" / "schema" / "plan.schema.json"


def test_writes_measured_plans(plan_file, model, case):
    plans = PlanFile.from_json(plan_file.read_text())
    (bucket,) = plans.buckets
    assert bucket.inputs == dict(case.inputs)
    assert all(plan.measured and plan.measured.repetitions > 10 for plan in bucket.plans)
    assert "onnxruntime-default" in [baseline.name for baseline in bucket.baselines]
    assert list(plans.devices) == ["cpu"]
    assert not plans.truncated


@pytest.mark.parametrize("name", ["plan_file", "frontier_file"])
def test_fits_the_schema(request, name):
    jsonschema.validate(json.loads(request.getfixturevalue(name).read_text()), json.loads(SCHEMA.read_text()))


def test_same_profile_same_bytes(chrion, model, shape, profile_file, frontier_file, tmp_path):
    path = tmp_path / "plan.json"
    done = chrion("plan", model, "-i", shape, "--profile", profile_file, "-o", path, PYTHONHASHSEED="4711")
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == frontier_file.read_bytes(), "which was made with hashes of other seeds"
    plans = json.loads(path.read_text())["buckets"][0]["plans"]
    assert all(plan["measured"] is None for plan in plans)
    assert plans[0]["gpuBytes"]["weights"] > plans[-1]["gpuBytes"]["weights"] == 0


def test_buckets_in_the_order_given(chrion, other_model, tmp_path):
    path = tmp_path / "plan.json"
    shapes = ["-i", "input=8x1x128", "-i", "input=4x2x128"]
    chrion.ok("plan", other_model, *shapes, "--lanes", "1", "--timeout", "100ms", "-o", path, "-q")
    plans = PlanFile.from_json(path.read_text())
    assert [bucket.inputs["input"] for bucket in plans.buckets] == [(8, 1, 128), (4, 2, 128)]
    assert plans.truncated, "a tenth of a second is not enough to measure every candidate"


def test_there_is_a_plan_however_busy_the_host(chrion, other_model, busy, tmp_path):
    """The model as it is needs no profile: what time is left for nothing else is left for that."""
    path = tmp_path / "plan.json"
    chrion.ok("plan", other_model, "-i", "input=4x1x128", "--timeout", "1s", "-o", path, "-q")
    plans = PlanFile.from_json(path.read_text())
    assert plans.truncated
    (plan, *_) = plans.buckets[0].plans
    assert plan.measured
    assert plan.predicted_seconds > 0


def test_without_the_kernels_it_says_once_who_runs_recurrent_layers(chrion, other_model, tmp_path):
    arguments = ("plan", other_model, "-i", "input=4x1x128", "--lanes", "1", "-o", tmp_path / "plan.json")
    without = {"CHRION_RECURRENT_BUILD": "none", "CHRION_REQUIRE_RECURRENT": "0"}
    done = chrion(*arguments, **without)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("LSTM, GRU and RNN run by ONNX Runtime alone: the recurrent kernels are missing: ") == 1
    assert done.stderr.count("recurrent kernels") == 1
    refused = chrion(*arguments, **without | {"CHRION_REQUIRE_RECURRENT": "1"})
    assert refused.returncode
    assert "the recurrent kernels are missing, and CHRION_REQUIRE_RECURRENT is 1" in refused.stderr


def test_timings_name_each_step(chrion, other_model, tmp_path):
    done = chrion("plan", other_model, "-i", "input=4x1x128", "--lanes", "1", "-o", tmp_path / "p", "-q", "--timings")
    assert done.returncode == 0, done.stderr
    rows = [line.rsplit(maxsplit=1) for line in done.stderr.splitlines() if line.rsplit(maxsplit=1)[1:]]
    seconds = {name.strip(): float(value) for name, value in rows if value[0].isdigit()}
    assert list(seconds)[:5] == ["starting", "preparing", "profiling on cpu", "searching", "measuring"]
    steps = sum(took for name, took in seconds.items() if name != "total" and not name.startswith("on "))
    assert seconds["total"] >= steps - 0.5
    assert seconds["on processors"] > 0


def test_profile_of_another_model(quick, other_model, shape, profile_file, tmp_path, refusal):
    line = refusal(quick("plan", other_model, "-i", shape, "--profile", profile_file, "-o", tmp_path / "plan.json"))
    assert "made for model" in line
    assert not (tmp_path / "plan.json").exists()


def test_profile_of_other_shapes(quick, model, profile_file, tmp_path, refusal):
    command = ["plan", model, "-i", "input=65x1x128", "--profile", profile_file, "-o", tmp_path / "plan.json"]
    assert "other shapes" in refusal(quick(*command))


@pytest.mark.parametrize("options", [("--devices", "cpu"), ("--lanes", "1")])
def test_a_profile_brings_its_own_devices(quick, model, shape, profile_file, tmp_path, refusal, options):
    command = ["plan", model, "-i", shape, "--profile", profile_file, "-o", tmp_path / "plan.json", *options]
    assert "--devices" in refusal(quick(*command))


def test_page(quick, frontier_file, tmp_path):
    page = tmp_path / "new" / "report.html"
    done = quick("explain", frontier_file, "--html", page)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"wrote {page}\n")
    assert "emulated:0" in page.read_text()


def test_objective_that_no_plan_meets(quick, model, shape, one_lane_file, tmp_path):
    path = tmp_path / "plan.json"
    done = quick("plan", model, "-i", shape, "--profile", one_lane_file, "-o", path, "--latency", "1ns")
    assert done.returncode == 0
    assert "warning: no plan meets 1ns at p99" in done.stderr
    assert PlanFile.from_json(path.read_text()).buckets


def test_quiet_prints_nothing(quick, model, shape, one_lane_file, tmp_path):
    done = quick("plan", model, "-i", shape, "--profile", one_lane_file, "-o", tmp_path / "p.json", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_precision_is_given_up_only_where_that_can_be_measured(quick, model, shape, profile_file, tmp_path):
    rest = ("-i", shape, "-o", tmp_path / "plan.json")
    done = quick("plan", model, *rest, "--precision", "int8", "--profile", profile_file)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--precision: the error of rounding must be measured: leave out --profile" in done.stderr
    done = quick("plan", model, *rest, "--sample", tmp_path / "none.npz")
    assert "--sample: answers are compared where weights are rounded: give a precision too" in done.stderr
    done = quick("plan", model, *rest, "--precision", "Int8", "--sample", tmp_path / "none.npz")
    assert f"{tmp_path / 'none.npz'}: cannot be read: No such file" in done.stderr
    for wrong in (("--precision", "int4"), ("--precision", "int8", "--max-error", "0")):
        assert quick("plan", model, *rest, *wrong).returncode == 2
