"""The validator: a good schedule passes, and each broken rule is found and named."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from chrion_api import HOST
from chrion_oracles.rules import validate_schedule, validate_stages
from chrion_planner.errors import PlanningError, ScheduleError
from chrion_planner.partition import Problem, Schedule, StagePlan, simulate


@pytest.fixture
def problem(build: SimpleNamespace) -> Problem:
    """0 → 1 → 3 and 0 → 2 → 3 of 100 µs each; the GPU holds two tasks and cannot run task 3."""
    inf = float("inf")
    return build.problem(
        {HOST: [1e-4] * 4, build.GPU: [1e-4, 1e-4, 1e-4, inf]},
        [(0, 1, 0), (0, 2, 0), (1, 3, 100_000), (2, 3, 100_000)],
        build.lanes(cpu=2, gpu=1),
        host_in=[100_000, 0, 0, 0],
        memory={build.GPU: [10] * 4},
        budget={build.GPU: 20},
    )


@pytest.fixture
def schedule() -> Schedule:
    """Task 2 on the GPU: 30 µs of hand-off to it, 30 µs of hand-off and 20 µs of copying back."""
    return Schedule((0, 0, 2, 0), (0.0, 1e-4, 1.3e-4, 2.8e-4), (1e-4, 2e-4, 2.3e-4, 3.8e-4), 3.8e-4)


def test_a_good_schedule_passes(problem: Problem, schedule: Schedule) -> None:
    validate_schedule(problem, schedule)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("one place for each task", {"lane": (0, 0, 2)}),
        ("known lanes", {"lane": (0, 0, 7, 0)}),
        ("possible placements", {"lane": (0, 0, 2, 2)}),
        ("memory budgets", {"lane": (2, 2, 2, 0)}),
        ("durations", {"finish": (1e-4, 2e-4, 2.2e-4, 3.8e-4)}),
        ("arrival", {"start": (0.0, 1e-4, 1.2e-4, 2.8e-4), "finish": (1e-4, 2e-4, 2.2e-4, 3.8e-4)}),
        ("arrival", {"start": (0.0, 1e-4, 1.3e-4, 2.7e-4), "finish": (1e-4, 2e-4, 2.3e-4, 3.7e-4)}),
        ("arrival", {"lane": (2, 0, 2, 0)}),
        (
            "no overlap on a lane",
            {"lane": (0, 0, 0, 0), "start": (0.0, 1e-4, 1.5e-4, 4e-4), "finish": (1e-4, 2e-4, 2.5e-4, 5e-4)},
        ),
        ("makespan", {"makespan": 3e-4}),
        ("possible placements", {"wide": (False, False, False, True)}),
        ("one place for each task", {"wide": (True,)}),
    ],
)
def test_a_broken_rule_is_named(problem: Problem, schedule: Schedule, rule: str, change: dict) -> None:
    with pytest.raises(ScheduleError, match=rule) as caught:
        validate_schedule(problem, replace(schedule, **change))
    assert caught.value.rule == rule
    assert isinstance(caught.value, PlanningError)
    assert "\n" not in str(caught.value)


@pytest.fixture
def stages(problem: Problem) -> list[StagePlan]:
    """The same placement as stages: task 0, then 1 on its lane and 2 on the GPU, then 3."""
    plan = [StagePlan((0,), 0), StagePlan((1,), 0), StagePlan((2,), 2), StagePlan((3,), 0)]
    return list(simulate(problem, plan).stages)


def test_good_stages_pass(problem: Problem, stages: list[StagePlan]) -> None:
    validate_stages(problem, stages, max(stage.finish for stage in stages))


def _broken(stages: list[StagePlan], rule: str) -> list[StagePlan]:
    first, second, third, last = stages
    return {
        "one place for each task": [first, second, third],
        "known lanes": [replace(first, lane=-1), second, third, last],
        "possible placements": [first, second, third, replace(last, lane=2)],
        "memory budgets": [replace(first, lane=2), replace(second, lane=2), third, last],
        "task order": [StagePlan((1, 0), 0), third, last],
        "acyclic stages": [StagePlan((0, 3), 0), second, third],
        "lane order": [second, first, third, last],
        "durations": [first, second, third, replace(last, finish=last.finish + 1e-6)],
        "arrival": [first, second, third, replace(last, start=last.start - 1e-5, finish=last.finish - 1e-5)],
        "no overlap on a lane": [
            first,
            replace(second, lane=1, start=2e-4, finish=3.04e-4),
            replace(third, lane=1, start=2.5e-4, finish=3.54e-4),
            replace(last, start=4e-4, finish=5.04e-4),
        ],
        "makespan": stages,
    }[rule]


@pytest.mark.parametrize(
    "rule",
    [
        "one place for each task",
        "known lanes",
        "possible placements",
        "memory budgets",
        "task order",
        "acyclic stages",
        "lane order",
        "durations",
        "arrival",
        "no overlap on a lane",
        "makespan",
    ],
)
def test_a_rule_broken_by_stages_is_named(problem: Problem, stages: list[StagePlan], rule: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        validate_stages(problem, _broken(stages, rule), 1.0)
    assert caught.value.rule == rule


@pytest.fixture
def moldable(build: SimpleNamespace) -> Problem:
    """0 → 1 → 2, and 3 beside them: all of 100 µs on one lane, and all but 3 of 60 µs on both."""
    on = build.lanes(cpu=2)
    return build.problem({HOST: [1e-4] * 4}, [(0, 1, 0), (1, 2, 0)], on, wide={HOST: [6e-5] * 3 + [float("inf")]})


WIDE = Schedule((0, 0, 0, 1), (0.0, 6e-5, 1.6e-4, 6e-5), (6e-5, 1.6e-4, 2.2e-4, 1.6e-4), 2.2e-4)


def test_a_good_wide_schedule_passes(moldable: Problem) -> None:
    validate_schedule(moldable, replace(WIDE, wide=(True, False, True, False)))


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("no overlap on a lane", {"start": (0.0, 6e-5, 1.6e-4, 0.0), "finish": (6e-5, 1.6e-4, 2.2e-4, 1e-4)}),
        ("no overlap on a lane", {"start": (0.0, 6e-5, 1.6e-4, 1e-4), "finish": (6e-5, 1.6e-4, 2.2e-4, 2e-4)}),
        ("durations", {"wide": (True, False, False, False)}),
        ("leading lanes", {"lane": (1, 0, 0, 1)}),
        ("possible placements", {"lane": (0, 0, 0, 0), "wide": (True, False, True, True)}),
        ("arrival", {"lane": (0, 1, 0, 0)}),
    ],
)
def test_a_broken_rule_of_wide_tasks_is_named(moldable: Problem, rule: str, change: dict) -> None:
    with pytest.raises(ScheduleError) as caught:
        validate_schedule(moldable, replace(WIDE, **{"wide": (True, False, True, False), **change}))
    assert caught.value.rule == rule


def test_stages_that_hold_all_lanes(moldable: Problem) -> None:
    stages = [StagePlan((0,), 0, wide=True), StagePlan((1,), 1), StagePlan((3,), 0), StagePlan((2,), 0, wide=True)]
    first, second, third, last = simulate(moldable, stages).stages
    assert (second.tasks, third.tasks) == ((3,), (1,))
    assert (first.start, first.finish) == pytest.approx((0.0, 64e-6))
    assert second.start == pytest.approx(64e-6)  # on the leading lane
    assert third.start == pytest.approx(94e-6)  # handed over to the other
    assert (last.start, last.finish) == pytest.approx((94e-6 + 104e-6 + 30e-6, 228e-6 + 64e-6))
    good = [first, second, third, last]
    validate_stages(moldable, good, last.finish)
    for rule, bad in {
        "no overlap on a lane": [first, replace(second, start=5e-5, finish=1.54e-4), third, last],
        "lane order": [second, third, last, first],
        "leading lanes": [replace(first, lane=1), second, third, last],
        "possible placements": [first, replace(second, wide=True), third, last],
        "durations": [first, second, third, replace(last, wide=False)],
    }.items():
        with pytest.raises(ScheduleError) as caught:
            validate_stages(moldable, bad)
        assert caught.value.rule == rule
