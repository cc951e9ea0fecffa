"""`chrion bench`: what it measures, as JSON and as a table."""

import json

import pytest

from chrion_api import PlanFile

QUICK = ("--rounds", "5", "--turn", "20ms")


@pytest.fixture(scope="module")
def plan_name(plan_file):
    """The plan that the objective selects where there is none."""
    return PlanFile.from_json(plan_file.read_text()).buckets[0].plans[0].name


def test_json(quick, model, plan_file, plan_name, case):
    done = quick("bench", model, "--plan", plan_file, "--json", *QUICK)
    assert (done.returncode, done.stderr) == (0, "")
    (bucket,) = json.loads(done.stdout)
    assert bucket["inputs"] == {name: list(shape) for name, shape in case.inputs.items()}
    assert bucket["plan"] == plan_name
    rows = {row["name"]: row for row in bucket["contenders"]}
    assert list(rows) == ["onnxruntime-default", "onnxruntime-1-thread", plan_name]
    assert rows["onnxruntime-default"]["gain"] == 1
    for row in rows.values():
        assert not row["error"]
        assert 0 < row["p50"] <= row["p90"] <= row["p99"]
        assert row["repetitions"] >= 5
        assert row["gain"] > 0


def test_table(chrion, model, plan_file, plan_name):
    done = chrion.ok("bench", model, "--plan", plan_file, *QUICK)
    assert f"{plan_name} (plan)" in done.stdout
    assert "onnxruntime-1-thread" in done.stdout


def test_plan_of_another_model(quick, other_model, plan_file, refusal):
    line = refusal(quick("bench", other_model, "--plan", plan_file, *QUICK))
    assert str(plan_file) in line
    assert str(other_model) in line


def test_plan_that_cannot_run_here(quick, model, plan_file, edited):
    def wider(value):
        value["buckets"][0]["plans"] = value["buckets"][0]["plans"][:1]
        value["buckets"][0]["plans"][0]["stages"][0]["lanes"] = ["cpu/4095"]

    done = quick("bench", model, "--plan", edited(plan_file, wider), "--json", *QUICK)
    assert done.returncode == 1
    *others, plan = json.loads(done.stdout)[0]["contenders"]
    assert "cpu/4095" in plan["error"]
    assert all(row["gain"] for row in others)


def test_turn_that_is_no_duration(quick, model, plan_file, refusal):
    assert '--turn: "soon" is not a duration' in refusal(quick("bench", model, "--plan", plan_file, "--turn", "soon"))
