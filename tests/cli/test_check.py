"""`chrion check`: what it prints, its exit codes, that its command can be typed; sizes that `chrion plan` guesses."""

import json
import shlex
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from chrion_api import PlanFile
from chrion_planner.check import ModelCheck
from chrion_planner.check.report import Outlook
from tests.support.bad_models import external, files, graphs

REFUSED = [*files.MODELS, *graphs.MODELS, *external.MODELS, "deep-ifs"]


def saved(path, nodes, kind, axes=("N", 2)):
    """A model of these nodes from x to y, which is of this type."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, axes)],
        [helper.make_value_info("y", kind)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def odd_model(tmp_path):
    """A model with an axis whose name says no size."""
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    return saved(tmp_path / "odd.onnx", [helper.make_node("Tanh", ["x"], ["y"])], kind, ("rows", 2))


def test_says_what_is_in_a_model_and_what_to_do(quick, model):
    done = quick("check", model)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines[:-1])) <= 80, "only the command to type may be longer"
    for words in (
        "input float32 [seq, batch, 128]",
        "1 GRU bidirectional",
        "Chrion's kernels",
        "Likely to gain",
        "axis seq is taken to be 100 and batch 1",
    ):
        assert words in " ".join(done.stdout.split()), words
    assert lines[-1].startswith("chrion plan ")


def test_the_same_as_json(quick, model):
    done = quick("check", model, "--json")
    report = ModelCheck.from_json(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (report.outlook, report.layers[0].kind) == (Outlook.LIKELY, "GRU")
    assert json.loads(done.stdout)["contents"]["inputs"][0]["axes"] == ["seq", "batch", 128]


def test_the_command_that_it_names_plans_the_model(quick, model, one_lane_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = ModelCheck.from_json(quick("check", model, "--json").stdout)
    name, *arguments = shlex.split(report.command)
    assert name == "chrion"
    done = quick(*arguments, "--profile", one_lane_file)
    assert "warning" not in done.stderr, "nothing is left to guess"
    assert "other shapes" in done.stderr, "the profile is for 64 steps, the command for 100"


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_model_is_refused(quick, bad_models, refusal, name):
    assert str(bad_models[name]) in refusal(quick("check", bad_models[name]))


def test_a_missing_file_is_refused(quick, tmp_path, refusal):
    assert "none.onnx: cannot be read" in refusal(quick("check", tmp_path / "none.onnx"))


def test_a_model_that_must_change_first_ends_in_1(quick, tmp_path):
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    path = saved(tmp_path / "m.onnx", [helper.make_node("SequenceConstruct", ["x"], ["y"])], kind)
    done = quick("check", path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "Cannot be planned as it is" in done.stdout
    assert "output y: sequence of float32" in done.stdout
    assert "chrion plan" not in done.stdout


def test_names_in_a_model_reach_no_terminal_as_control_codes(quick, tmp_path):
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    path = saved(tmp_path / "m.onnx", [helper.make_node("Tanh", ["x"], ["y"], "\x1b[2J")], kind, ("\x1b[31m\nred", 2))
    done = quick("check", path)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout


def test_plan_says_what_it_takes_open_axes_to_be(chrion, other_model, tmp_path):
    path = tmp_path / "plan.json"
    done = chrion("plan", other_model, "-o", path, "--lanes", "1", "--timeout", "1s")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "taken to be" in line]
    assert line == (
        "warning: inputs.input: axis seq is taken to be 100 and batch 1; "
        "give --input input=100x1x128 to plan for other sizes"
    )
    (bucket,) = PlanFile.from_json(path.read_text()).buckets
    assert bucket.inputs == {"input": (100, 1, 128)}


def test_plan_of_an_axis_that_nothing_suggests_names_it(quick, odd_model, tmp_path, refusal):
    line = refusal(quick("plan", odd_model, "-o", tmp_path / "plan.json"))
    assert "inputs.x: has open axes (rowsx2); give its shape, for example --input x=1x2 with 1 for axis rows" in line
    assert not Path(tmp_path / "plan.json").exists()
