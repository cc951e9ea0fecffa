"""Which plans are kept, and what may be said of measured figures."""

import re

import numpy as np
import pytest

from chrion_api import GpuBytes, Plan, Stage
from chrion_graph.equality import difference
from chrion_planner.frontier import CLEARLY, is_narrower, is_simpler, margin, pareto
from chrion_planner.measuring import faster, latency


def plan(name: str, seconds: float, nbytes: int = 0, stages: int = 1, lanes: int = 1) -> Plan:
    return Plan(
        name=name,
        graph="g",
        predicted_seconds=seconds,
        gpu_bytes=GpuBytes(weights=nbytes),
        stages=tuple(
            Stage(nodes=(index,), lanes=tuple(f"cpu/{lane}" for lane in range(lanes))) for index in range(stages)
        ),
    )


def certainly(one: Plan, other: Plan) -> bool:
    return one.predicted_seconds < other.predicted_seconds * 0.98


def test_only_plans_that_nothing_beats_in_both_are_kept():
    plans = [plan("small", 9, 0), plan("middle", 5, 50), plan("wasteful", 6, 80), plan("fast", 2, 100)]
    assert [item.name for item in pareto(plans, certainly)] == ["fast", "middle", "small"]


def test_of_plans_that_cannot_be_told_apart_the_simpler_is_kept():
    assert [item.name for item in pareto([plan("cut", 1.0, stages=5), plan("whole", 1.01)], certainly)] == ["whole"]
    assert [item.name for item in pareto([plan("cut", 0.5, stages=5), plan("whole", 1.01)], certainly)] == ["cut"]


def test_of_lanes_all_are_kept_unless_fewer_are_shown_to_do_as_well():
    all_lanes, one = plan("all", 1.0, lanes=2), plan("one", 1.001)
    assert is_narrower(one, all_lanes)
    assert not is_narrower(all_lanes, one)
    assert not is_narrower(plan("cut", 1.0, stages=2), all_lanes)
    assert [item.name for item in pareto([one, all_lanes], certainly)] == ["all"]
    assert [item.name for item in pareto([one, all_lanes], lambda one, other: is_narrower(one, other))] == ["one"]


def test_weights_are_rounded_only_for_a_clear_gain():
    exact = plan("exact", 1.0, stages=2, lanes=2)
    rounded = plan("rounded", 1.0).model_copy(
        update={"stages": (Stage(nodes=(0,), lanes=("cpu/0",), options={"weights": "Int8"}),)}
    )
    assert is_simpler(exact, rounded), "however many stages it has"
    assert not is_narrower(rounded, plan("other", 1.0, lanes=2)), "fewer lanes are no reason to round"
    assert margin(rounded, exact) == CLEARLY
    assert [item.name for item in pareto([rounded, exact], certainly)] == ["exact"]


def test_memory_is_paid_only_for_a_certain_gain():
    assert [item.name for item in pareto([plan("gpu", 0.99, 10), plan("cpu", 1.0)], certainly)] == ["cpu"]


def rounds(*medians: float) -> list[list[float]]:
    return [[value] * 3 for value in medians]


def test_a_gain_must_show_in_nearly_every_round():
    base = [rounds(*[1.0] * 12)]
    assert faster([rounds(*[0.9] * 12)], base)
    assert faster([rounds(*[0.8] * 10, 1.05, 1.05)], base), "two small losses among large gains"
    assert not faster([rounds(*[0.9] * 7, *[1.1] * 5)], base)
    assert not faster([rounds(*[0.995] * 12)], base)
    assert not faster([rounds(0.5, 0.5, 0.5)], [rounds(1, 1, 1)]), "three rounds prove nothing"
    assert not faster([], base)


def test_it_can_be_certain_that_nothing_is_lost():
    base = [rounds(*[1.0] * 12)] * 3
    assert faster([rounds(*[1.002] * 12)] * 3, base, by=-0.01)
    assert not faster([rounds(*[1.02] * 12)] * 3, base, by=-0.01)
    assert not faster([rounds(*[0.8, 1.25] * 6)] * 3, base, by=-0.01), "too noisy to say"


def test_a_gain_must_show_in_the_typical_process_and_none_may_lose():
    base = [rounds(*[1.0] * 10)] * 3
    quick, little, slow = rounds(*[0.8] * 10), rounds(*[0.99] * 10), rounds(*[1.02] * 10)
    assert faster([quick, quick, quick], base)
    assert faster([quick, little, quick], base)
    assert not faster([quick, little, little], base)
    assert not faster([quick, slow, quick], base)
    assert faster([quick], base), "only processes that both had are compared"


def test_percentiles_are_over_all_runs():
    found = latency([[1.0] * 98, [2.0, 3.0]])
    assert (found.p50, found.repetitions) == (1.0, 100)
    assert found.p99 == pytest.approx(2.01)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (np.ones(3, np.float32), ""),
        (np.ones(3, np.float32) + 1e-6, ""),
        (np.ones(3, np.float32) + 0.1, "differs by up to 0.1"),
        (np.ones(3, np.float64), "is float64"),
        (np.ones(4, np.float32), r"float32\[4\]"),
    ],
)
def test_answers_that_differ_are_told_apart(value, problem):
    found = difference({"y": value}, {"y": np.ones(3, np.float32)})
    assert (problem == "") == (found == "")
    assert re.search(problem, found)
