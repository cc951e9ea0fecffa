"""Plans that round weights: how far they are off is measured, stated and held to what is allowed; none unasked."""

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from chrion import planning
from chrion.planning import PlanningTask
from chrion.session import Session
from chrion_api import Frontier, Plan, PlanFile, Precision, Stage, WeightFormat
from chrion_graph.equality import error
from chrion_graph.samples import Sample
from chrion_models.families.stack import stack
from chrion_planner.measuring import Result, Trial
from tests.support.kernels import needs_kernels
from tests.support.one_layer import OneLayer

CASE = stack("GRU", "forward", 2, 256, 32, 1)
NAME, SHAPE = next(iter(CASE.inputs.items()))
INT8 = Precision(weights=WeightFormat.INT8, max_error=0.2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Layers that outgrow the nearest caches, so that it is faster to read fewer bytes."""
    path = tmp_path_factory.mktemp("rounding") / "model.onnx"
    path.write_bytes(CASE.build().SerializeToString())
    return path


def planned(model: Path, precision: Precision, **more: Any) -> tuple[PlanFile, list[str]]:
    """The plans, and what was warned of."""
    said: list[str] = []
    task = PlanningTask(model, CASE.specs, ("cpu",), 1, precision=precision, warn=said.append, figures=None, **more)
    return planning.plan(task), said


def frontier(model: Path, precision: Precision) -> tuple[Frontier, list[str]]:
    """Those of the only bucket."""
    found, said = planned(model, precision)
    return found.buckets[0], said


@needs_kernels
def test_the_error_is_measured_and_stated(model: Path) -> None:
    found, _ = frontier(model, INT8)
    fastest = found.plans[0]
    assert fastest.rounds_weights
    assert "int8" in fastest.name
    assert fastest.error is not None
    assert 1e-6 < fastest.error < INT8.max_error
    exact = [candidate for candidate in found.candidates if candidate.error is None]
    assert exact, "plans that round nothing are measured beside it"
    weights = 2 * 2 * 3 * 256 * 256
    assert weights <= fastest.host_bytes < 1.1 * weights, "a byte a weight"


@needs_kernels
def test_plans_that_are_too_far_off_are_dropped(model: Path) -> None:
    found, said = frontier(model, Precision(weights=WeightFormat.INT8, max_error=1e-6))
    assert not any(plan.rounds_weights for plan in found.plans)
    assert any("is dropped: its answers are off by" in text and "more than 1e-06" in text for text in said)


@needs_kernels
def test_given_samples_count_too(model: Path) -> None:
    found, _ = planned(model, INT8)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def off(values: NDArray[np.float32]) -> float:
        feeds = {NAME: values}
        return error(running.run(feeds), dict(zip(names, session.run(names, feeds), strict=True)))

    samples = [3 * np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32) for seed in range(100, 130)]
    with closing(Session(model, found)) as running:
        worst = max(samples, key=off)
        before, expected = found.buckets[0].plans[0].error, off(worst)
    assert before is not None
    assert expected > before, "inputs that are further from those that plans are measured with"
    again, _ = planned(model, INT8, samples=(Sample(Path("worst.npz"), {NAME: worst}),))
    assert again.buckets[0].plans[0].error == pytest.approx(expected, rel=0.01)


@needs_kernels
def test_nobody_gets_one_who_did_not_ask(model: Path) -> None:
    found, _ = frontier(model, Precision(weights=WeightFormat.FLOAT32))
    assert all(candidate.error is None and "int8" not in candidate.name for candidate in found.candidates)


@needs_kernels
def test_a_model_with_nothing_to_round_is_planned_and_says_so(tmp_path: Path) -> None:
    """A layer that the kernels leave to ONNX Runtime: rounding is allowed, and not asked for at any price."""
    layer = OneLayer("GRU", attributes={"clip": 1.0})
    path = tmp_path / "model.onnx"
    path.write_bytes(layer.model().SerializeToString())
    said: list[str] = []
    task = PlanningTask(path, (), ("cpu",), 1, precision=INT8, warn=said.append, figures=None)
    assert not any(plan.rounds_weights for plan in planning.plan(task).buckets[0].plans)
    assert "no weights are rounded to Int8: no layer of this model runs by Chrion's recurrent kernels" in said


STAGE = Stage(nodes=(0,), lanes=("cpu/0",), engine="recurrent", options={"weights": "Int8"})
PLAN = Plan(name="rounded", graph="g", stages=(STAGE,), predicted_seconds=1)
RIGHT = {"y": np.ones(3, np.float32)}


def answered(*values: float) -> Trial:
    """A trial with 0.1 of error allowed, of a plan that answers so."""
    trial = Trial(PLAN, 0.1)
    trial.add(Result("rounded", rounds=[[1.0] * 3], outputs={"y": np.array(values, np.float32)}), RIGHT)
    return trial


def test_the_worst_of_all_errors_is_the_plan_s() -> None:
    trial = answered(1.0, 0.95, 1.0)
    trial.note_error(0.01)
    assert trial.fine
    assert trial.plan.error == pytest.approx(0.05)
    assert trial.candidate.error == trial.plan.error


def test_more_than_is_allowed_is_a_problem_that_says_so() -> None:
    assert answered(1.0, 0.8, 1.0).problem == "its answers are off by 0.2 of their largest value, more than 0.1"
    trial = answered(1.0, 1.0, 1.0)
    trial.note_error(0.11)
    assert not trial.fine
    assert answered(1.0, np.nan, 1.0).problem


def test_where_the_model_s_own_answers_differ_no_error_can_be_told() -> None:
    trial = Trial(PLAN, 0.1)
    trial.add(Result("rounded", rounds=[[1.0] * 3], outputs=RIGHT), {})
    assert "cannot be measured" in trial.problem
