"""`import chrion`: plan and run a model from Python, in a plain script and in a test."""

import json
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import chrion as face

SCRIPT = """
    import sys
    import threading

    import numpy as np

    import chrion

    model, folder = sys.argv[1:]
    print("the script runs")
    in_haste = {"slo": {"latency": "10s"}, "devices": ["cpu"], "cpu_lanes": 1, "timeout_seconds": 1, "warn": str}
    plan = chrion.plan(model, inputs={"input": (64, 1, 128)}, **in_haste)
    with open(f"{folder}/plan.json", "w") as file:
        file.write(plan.to_json())
    session = chrion.Session(model, plan)
    rng = np.random.default_rng(0)
    feeds = rng.standard_normal((8, 64, 1, 128)).astype(np.float32)
    answers = [None] * 8

    def ask(index):
        answers[index] = session.run({"input": feeds[index]})["output"]

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    session.close()
    np.savez(f"{folder}/answers.npz", feeds=feeds, answers=answers)
"""


@pytest.fixture(autouse=True)
def cache(chrion, monkeypatch):
    """The same cache folder as the command's."""
    monkeypatch.setenv("CHRION_CACHE", str(chrion.cache))


@pytest.fixture
def session(model, plan_file):
    """A session by the path of a plan."""
    session = face.Session(model, plan_file)
    yield session
    session.close()


def test_exported_names():
    assert {"ChrionError", "InputSpec", "PlanFile", "Session", "__version__", "plan", "profile"} <= {*face.__all__}
    assert all(hasattr(face, name) for name in face.__all__)
    assert dir(face) == sorted(face.__all__)


def test_plain_script_without_a_guard(chrion, model, tmp_path, reference, assert_equal):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, script, model, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=chrion.environ({}), check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the script runs\n", "workers must not run the script again"
    assert json.loads((tmp_path / "plan.json").read_text())["buckets"][0]["plans"][0]["measured"]
    with np.load(tmp_path / "answers.npz") as saved:
        for feed, answer in zip(saved["feeds"], saved["answers"], strict=True):
            assert_equal({"output": answer}, {"output": reference(model, {"input": feed})["output"]})


def test_plan_from_a_profile_is_an_object(model, one_lane_file, case, case_inputs, reference, assert_equal):
    plan = face.plan(str(model), inputs=case.inputs, profile=one_lane_file, mode="Latency")
    assert isinstance(plan, face.PlanFile)
    session = face.Session(str(model), plan)
    feeds = case_inputs(case)
    assert_equal(session.run(feeds), reference(model, feeds))
    session.close()


@pytest.mark.parametrize(("mode", "index"), [("Latency", 0), ("Memory", -1)])
def test_the_mode_chooses_of_several_plans(model, frontier_file, mode, index):
    plans = face.PlanFile.from_json(frontier_file.read_text()).buckets[0].plans
    session = face.Session(str(model), frontier_file, mode=mode)
    assert session.selections[0].plan == plans[index], "the fastest, or the one with the least memory"
    session.close()


def test_concurrent_runs_get_their_own_answers(session, model, case, case_inputs, reference, assert_equal):
    feeds = [case_inputs(case, seed) for seed in range(24)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(session.run, feeds))
    for feed, answer in zip(feeds, answers, strict=True):
        assert_equal(answer, reference(model, feed))


def test_some_outputs_and_another_shape(session, model, reference, assert_equal):
    feeds = {"input": np.ones((5, 3, 128), np.float32)}
    answer = session.run(feeds, ["h_n"])
    assert_equal(answer, {"h_n": reference(model, feeds)["h_n"]})


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, r"inputs: missing \['input'\]"),
        ({"input": np.zeros((64, 1, 128), np.float32), "x": np.zeros(1)}, r"unknown \['x'\]"),
        ({"input": np.zeros((64, 1, 128))}, "inputs.input: is float64, the model takes float32"),
        ({"input": np.zeros((64, 128), np.float32)}, "."),
        ({"input": np.zeros((64, 1, 5), np.float32)}, "."),
        ({"input": [["text"]]}, "inputs.input: is <U4"),
    ],
)
def test_wrong_inputs_of_a_run(session, feeds, message):
    with pytest.raises(face.ChrionError, match=message) as caught:
        session.run(feeds)
    assert "\n" not in str(caught.value)


def test_output_that_is_not_there(session):
    with pytest.raises(face.ChrionError, match=r"the model has no \['z'\]"):
        session.run({"input": np.zeros((64, 1, 128), np.float32)}, ["z"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": {"x": (1, 2)}}, 'the model has no input "x"'),
        ({"inputs": {"input": (1, 2)}}, "rank 2"),
        ({"inputs": {"input": 5}}, "inputs.input"),
        ({"inputs": {"input": ("a", "b", "c")}}, "inputs.input"),
        ({"inputs": {"input": (-1, 1, 128)}}, "inputs.input"),
        ({"slo": {"latency": "20 bananas"}}, 'slo.latency: "20 bananas" is not a duration'),
        ({"slo": {"speed": "high"}}, "slo.speed: is not a known field"),
        ({"mode": "Fastest"}, 'mode: "Fastest" must be one of Auto, Latency, Memory'),
        ({"devices": ["cuda:99"]}, "cuda:99"),
        ({"devices": ["abacus"]}, '"abacus" is not a device'),
        ({"cpu_lanes": 4096}, "4096 lanes"),
        ({"cpu_lanes": -1}, "lanes"),
        ({"profile": "/nowhere/profile.json"}, "/nowhere/profile.json: cannot be read"),
    ],
)
def test_wrong_options_of_plan(model, case, options, message):
    with pytest.raises(face.ChrionError, match=message):
        face.plan(model, **{"inputs": case.inputs, **options})


def test_sizes_that_are_guessed_are_said(model, one_lane_file):
    said = []
    with pytest.raises(face.ChrionError, match="other shapes"):
        face.plan(model, profile=one_lane_file, warn=said.append)
    assert said == [
        "inputs.input: axis seq is taken to be 100 and batch 1; give --input input=100x1x128 to plan for other sizes"
    ]
    with pytest.warns(UserWarning, match="axis seq is taken to be 100"), pytest.raises(face.ChrionError):
        face.plan(model, profile=one_lane_file)


def test_wrong_files(model, other_model, plan_file, tmp_path):
    with pytest.raises(face.ChrionError, match="cannot be read"):
        face.Session(tmp_path / "missing.onnx", plan_file)
    with pytest.raises(face.ChrionError, match="cannot be read"):
        face.Session(model, tmp_path / "missing.json")
    with pytest.raises(face.ChrionError, match="the plan was made for model"):
        face.Session(other_model, plan_file)
    with pytest.raises(face.ChrionError, match="is not an ONNX file"):
        face.plan(Path(__file__))
