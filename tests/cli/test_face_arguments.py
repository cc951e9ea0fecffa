"""What the Python face is given: arguments of wrong types and options that cannot be meant are refused by name."""

import onnx
import pytest

import chrion as face
from tests.support.face_models import adder, frames


@pytest.fixture
def model(tmp_path, monkeypatch):
    """The file of a model whose input has open axes."""
    monkeypatch.setenv("CHRION_CACHE", str(tmp_path / "cache"))
    onnx.save(frames(), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def step(model):
    """The file of a model that can carry state."""
    onnx.save(adder(), model.with_name("step.onnx"))
    return model.with_name("step.onnx")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"inputs": [1]}, "inputs: give shapes by name, or InputSpecs, not int"),
        ({"inputs": 3}, "inputs: give shapes by name, or InputSpecs, not int"),
        ({"state": 3}, "state: give inputs by output, or StateLinks, not int"),
        ({"state": "output"}, "state: give inputs by output, or StateLinks, not str"),
        ({"state": ["output"]}, "state: give inputs by output, or StateLinks, not str"),
        ({"state": {"output": 1}}, "state.input: 1: "),
        ({"slo": 3}, "slo: 3: "),
        ({"slo": "20ms"}, 'slo: "20ms"'),
        ({"slo": ["20ms"]}, "slo: "),
        ({"planning": 3}, "planning: give PlanningOptions, not int"),
        ({"inputs": {"nope": (1, 4)}}, 'inputs: the model has no input "nope"; it has input'),
        ({"inputs": {"input": (1, 4)}}, r"inputs.input: shape \[1, 4\] has 2 dimensions"),
        ({"inputs": {"input": (1, 20, 5)}}, "inputs.input: dimension 2 of .* is 5"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_at_once(model, options, problem):
    with pytest.raises(face.ChrionError, match=problem) as caught:
        face.Session(model, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda model: face.Session(None), "model: give the path of a file, not NoneType"),
        (lambda model: face.plan(5), "model: give the path of a file, not int"),
        (lambda model: face.profile(b"model.onnx"), "model: give the path of a file, not bytes"),
        (lambda model: face.Session(model, 5), "plan: give the path of a file, not int"),
        (lambda model: face.plan(model, devices="cpu"), "devices: give a list of names, .*not str"),
        (lambda model: face.plan(model, devices=[5]), "devices: .*not int"),
        (lambda model: face.profile(model, devices=5), "devices: .*not int"),
        (lambda model: face.plan(model, cpu_lanes=-1), "cpu_lanes: -1 must be a whole number"),
        (lambda model: face.plan(model, timeout_seconds=0), "timeout_seconds: 0 must be a number of seconds"),
        (lambda model: face.PlanningOptions(devices="cpu"), "devices: .*not str"),
        (lambda model: face.PlanningOptions(cpu_lanes=1.5), "cpu_lanes: 1.5 must be"),
        (lambda model: face.PlanningOptions(timeout_seconds="x"), "timeout_seconds: 'x' must be"),
        (lambda model: face.PlanningOptions(timeout_seconds=float("nan")), "timeout_seconds: nan must be"),
    ],
)
def test_arguments_of_a_wrong_type_are_named(model, call, problem):
    with pytest.raises(face.UsageError, match=problem):
        call(model)


def test_a_sequence_of_a_wrong_type_is_named(step):
    with face.Session(step) as session, pytest.raises(face.UsageError, match="sequence: give a SequenceStep, not int"):
        session.run({}, sequence=5)
