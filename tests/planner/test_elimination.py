"""No plan is ruled out that could still win, or that takes less GPU memory."""

import numpy as np

from chrion_api import GpuBytes, Plan, Stage
from chrion_planner.elimination import Elimination, in_first
from chrion_planner.measuring import Result

ANSWER = {"y": np.ones(3, np.float32)}


def plan(name: str, predicted: float, nbytes: int = 0, stages: int = 1, lanes: int = 1) -> Plan:
    one = Stage(nodes=(0,), lanes=tuple(f"cpu/{lane}" for lane in range(lanes)))
    return Plan(
        name=name,
        graph="g",
        stages=(one,) * stages,
        predicted_seconds=predicted,
        gpu_bytes=GpuBytes(weights=nbytes),
    )


def result(*rounds: float, wrong: bool = False, error: str = "") -> Result:
    """What came of one that took so many seconds in each round; nothing where there are none."""
    outputs = {"y": ANSWER["y"] * (2 if wrong else 1)} if rounds else {}
    return Result("one", rounds=[[seconds] * 3 for seconds in rounds], outputs=outputs, error=error)


MODEL = result(1.0, 1.0)


def eliminated(plans: list[Plan], results: list[Result]) -> list[str]:
    judge = Elimination(plans, 1)
    return [one.name for index, one in enumerate(plans, 1) if judge.eliminates(index, [MODEL, *results])]


def test_a_plan_that_is_clearly_behind_in_every_round_leaves() -> None:
    plans = [plan("fast", 1.0), plan("near", 1.0), plan("once", 1.0), plan("slow", 1.0)]
    results = [result(1.0, 1.0), result(1.1, 1.1), result(9.0, 1.1), result(1.2, 1.3)]
    assert eliminated(plans, results) == ["slow"]


def test_a_plan_that_rounds_weights_rules_none_out() -> None:
    """It may be dropped in the end, for inputs on which it is too far off; then the others must still be there."""
    rounded = plan("rounded", 1.0)
    rounded = rounded.model_copy(update={"stages": (rounded.stages[0].with_options(weights="Float16"),)})
    assert eliminated([rounded, plan("exact", 1.0)], [result(1.0, 1.0), result(2.0, 2.0)]) == []


def test_a_plan_that_takes_less_gpu_memory_stays_however_slow() -> None:
    plans = [plan("fast", 1.0, 100), plan("small", 1.0, 50), plan("large", 1.0, 100)]
    assert eliminated(plans, [result(1.0, 1.0), result(3.0, 3.0), result(2.0, 2.0)]) == ["large"]


def test_a_plan_that_would_not_be_chosen_over_a_simpler_one_leaves() -> None:
    plans = [plan("simple", 1.0), plan("elaborate", 1.0, stages=2)]
    for seconds, rounds, leaves in (
        (0.97, 5, True),  # it must gain 5 %
        (0.94, 5, False),
        (1.04, 4, False),  # too early to say
        (1.06, 3, True),
        (1.06, 2, False),
    ):
        found = eliminated(plans, [result(*[1.0] * rounds), result(*[seconds] * rounds)])
        assert found == (["elaborate"] if leaves else []), (seconds, rounds)
    assert eliminated(plans, [result(*[1.1] * 5), result(*[1.0] * 5)]) == [], (
        "the simpler one stays to be compared with"
    )
    won_one = [1.0, 0.9, 1.0, 1.0, 1.0]
    assert eliminated(plans, [result(*[1.0] * 5), result(*won_one)]) == []
    assert eliminated(plans, [result(*[1.0] * 8), result(*won_one, 1.0, 1.0, 1.0)]) == ["elaborate"], "one of eight"


def test_a_plan_on_fewer_lanes_that_is_as_fast_stays() -> None:
    plans = [plan("wide", 1.0, lanes=2), plan("narrow", 1.0, lanes=1)]
    assert eliminated(plans, [result(*[1.0] * 5), result(*[1.005] * 5)]) == []
    assert eliminated(plans, [result(*[1.0] * 5), result(*[1.02] * 5)]) == ["narrow"]


def test_a_baseline_that_is_clearly_behind_the_first_leaves() -> None:
    judge = Elimination([plan("one", 1.0)], 3)
    results = [result(1.0, 1.0), result(1.1, 1.2), result(1.2, 1.3), result(1.0, 1.0)]
    assert [judge.eliminates(index, results) for index in range(3)] == [False, False, True]


def test_right_answers_may_be_known_beforehand() -> None:
    plans = [plan("wrong", 1.0), plan("slow", 1.0)]
    judge = Elimination(plans, expected=ANSWER)
    assert not judge.eliminates(1, [result(1.0, 1.0, wrong=True), result(2.0, 2.0)])
    assert judge.eliminates(1, [result(1.0, 1.0), result(2.0, 2.0)])


def test_who_has_not_come_is_judged_by_what_is_predicted() -> None:
    plans = [plan("ran", 1.0), plan("good", 1.1, stages=2), plan("bad", 1.3, stages=2)]
    assert eliminated(plans, [result(1.0, 1.0), result(), result()]) == ["bad"]
    plans = [plan("ran", 1.0, 100), plan("bad", 1.3, 100, stages=2), plan("small", 3.0, 50, stages=2)]
    assert eliminated(plans, [result(1.0, 1.0), result(), result()]) == ["bad"]


def test_a_machine_that_was_slower_when_it_was_profiled_keeps_nobody_out() -> None:
    plans = [plan("ran", 2.0), plan("good", 2.2, stages=2), plan("bad", 2.6, stages=2)]
    assert eliminated(plans, [result(1.0, 1.0), result(), result()]) == ["bad"]


def test_wrong_answers_and_failures_count_for_nothing() -> None:
    plans = [plan("wrong", 0.1), plan("fine", 1.0), plan("failed", 1.0), plan("not yet", 1.1, stages=2)]
    results = [result(0.1, 0.1, wrong=True), result(1.0, 1.0), result(error="no kernel"), result()]
    assert eliminated(plans, results) == []


def test_whole_graphs_that_the_profile_knows_to_be_slower_are_not_loaded() -> None:
    plans = [plan("ran", 1.0), plan("near", 1.07), plan("far", 1.15), plan("stages", 1.1, stages=2)]
    # The machine is slower now than when it was profiled; all are alike in that.
    assert eliminated(plans, [result(1.5, 1.5), result(), result(), result()]) == ["far"]
    smaller = [plan("ran", 1.0, 100), plan("small", 2.0, 50)]
    assert eliminated(smaller, [result(1.0, 1.0), result()]) == []


def test_those_come_first_that_others_are_judged_by() -> None:
    plans = [plan("fast", 1.0), plan("near", 1.05), plan("slow", 2.0), plan("stages", 0.5, stages=2)]
    assert [one.name for one in in_first(plans)] == ["fast", "near"]
    plans = [plan("large", 1.0, 100), plan("small", 2.0, 50), plan("none", 4.0)]
    assert [one.name for one in in_first(plans)] == ["large", "small", "none"]


def test_it_is_decided_when_one_plan_is_left_that_was_measured_often_enough() -> None:
    judge = Elimination([plan("one", 1.0), plan("two", 1.0)], 1)
    for rounds, out, decided in ((5, False, False), (5, True, True), (4, True, False)):
        one, two = result(*[1.0] * rounds), result(*[2.0] * rounds)
        two.eliminated = out
        assert judge.decided([MODEL, one, two]) == decided
    assert judge.decided([MODEL, result(*[1.0] * 5), result(error="no kernel")])
