"""No plan is ruled out that could still win, or that takes less GPU memory."""

import numpy as np

from chrion_api import GpuBytes, Plan, Stage
from chrion_planner.elimination import elimination
from chrion_planner.measuring import Result

ANSWER = {"y": np.ones(3, np.float32)}


def plan(name: str, predicted: float, nbytes: int = 0) -> Plan:
    stage = Stage(nodes=(0,), lanes=("cpu/0",))
    return Plan(name=name, graph="g", stages=(stage,), predicted_seconds=predicted, gpu_bytes=GpuBytes(weights=nbytes))


def result(*rounds: float, wrong: bool = False, error: str = "") -> Result:
    """What came of one that took so many seconds in each round; nothing where there are none."""
    outputs = {"y": ANSWER["y"] * (2 if wrong else 1)} if rounds else {}
    return Result("one", rounds=[[seconds] * 3 for seconds in rounds], outputs=outputs, error=error)


MODEL = result(1.0, 1.0)


def eliminated(plans: list[Plan], results: list[Result]) -> list[str]:
    rules_out = elimination(plans, 1)
    return [one.name for index, one in enumerate(plans, 1) if rules_out(index, [MODEL, *results])]


def test_a_plan_that_is_clearly_behind_in_every_round_leaves() -> None:
    plans = [plan("fast", 1.0), plan("near", 1.0), plan("once", 1.0), plan("slow", 1.0)]
    results = [result(1.0, 1.0), result(1.1, 1.1), result(9.0, 1.1), result(1.2, 1.3)]
    assert eliminated(plans, results) == ["slow"]


def test_a_plan_that_takes_less_gpu_memory_stays_however_slow() -> None:
    plans = [plan("fast", 1.0, 100), plan("small", 1.0, 50), plan("large", 1.0, 100)]
    assert eliminated(plans, [result(1.0, 1.0), result(3.0, 3.0), result(2.0, 2.0)]) == ["large"]


def test_who_has_not_come_is_judged_by_what_is_predicted() -> None:
    plans = [plan("ran", 1.0), plan("good", 1.1), plan("bad", 1.2)]
    assert eliminated(plans, [result(1.0, 1.0), result(), result()]) == ["bad"]
    plans = [plan("ran", 1.0, 100), plan("bad", 1.2, 100), plan("small", 3.0, 50)]
    assert eliminated(plans, [result(1.0, 1.0), result(), result()]) == ["bad"]


def test_a_machine_that_was_slower_when_it_was_profiled_keeps_nobody_out() -> None:
    plans = [plan("ran", 2.0), plan("good", 2.2), plan("bad", 2.4)]
    assert eliminated(plans, [result(1.0, 1.0), result(), result()]) == ["bad"]


def test_wrong_answers_and_failures_count_for_nothing() -> None:
    plans = [plan("wrong", 0.1), plan("fine", 1.0), plan("failed", 1.0), plan("not yet", 1.1)]
    results = [result(0.1, 0.1, wrong=True), result(1.0, 1.0), result(error="no kernel"), result()]
    assert eliminated(plans, results) == []
