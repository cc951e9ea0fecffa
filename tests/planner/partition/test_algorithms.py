"""Every algorithm on every instance, through the one validator."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chrion_api import HOST
from chrion_oracles.from_scratch import from_scratch
from chrion_oracles.rules import validate_schedule, validate_stages
from chrion_planner.partition import ALGORITHMS, Budget, Problem, Schedule, each_device, lower_bound
from chrion_planner.partition.heft import heft
from chrion_planner.partition.roles import Algorithm
from chrion_planner.partition.single import on_device
from tests.support.schedules import best_device, group

QUICK = Budget(solver_nodes=50, search_work=50_000)
ROUNDING = 1 + 1e-9

anything = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: algorithm.name)
def test_schedules_and_their_stages_keep_every_rule(algorithm: Algorithm, instance: Problem) -> None:
    check(instance, from_scratch(algorithm, instance, QUICK))


def test_single_devices_keep_every_rule(instance: Problem) -> None:
    for schedule in each_device(instance).values():
        check(instance, schedule)


def check(instance: Problem, schedule: Schedule | None) -> None:
    if schedule is None:
        return
    validate_schedule(instance, schedule)
    assert schedule.makespan * ROUNDING >= lower_bound(instance)
    simulation = group(instance, schedule)
    validate_stages(instance, simulation.stages, simulation.makespan)
    assert [stage.start for stage in simulation.stages] == sorted(stage.start for stage in simulation.stages)


@anything
@given(data=st.data())
def test_random_problems(build: SimpleNamespace, data: st.DataObject) -> None:
    problem = build.drawn(data, most=12)
    for schedule in (heft(problem), best_device(problem)):
        if schedule is not None:
            validate_schedule(problem, schedule)
            assert schedule.makespan * ROUNDING >= lower_bound(problem)
            simulation = group(problem, schedule)
            validate_stages(problem, simulation.stages, simulation.makespan)


def test_heft_gives_what_its_paper_says(build: SimpleNamespace) -> None:
    schedule = heft(build.published())
    assert schedule is not None
    assert schedule.makespan == 80
    assert schedule.lane == (2, 0, 2, 1, 2, 1, 2, 0, 1, 1)
    assert schedule.start == (0, 27, 9, 18, 28, 26, 38, 57, 56, 73)
    assert schedule.finish == (9, 40, 28, 26, 38, 42, 49, 62, 68, 80)


def test_heft_is_hardly_ever_worse_than_one_lane(instance: Problem) -> None:
    alone, schedule = best_device(instance), heft(instance)
    if alone is not None:
        assert schedule is not None
        assert schedule.makespan <= alone.makespan * 1.01


def test_heft_fills_gaps(build: SimpleNamespace) -> None:
    # 2 waits 80 µs for a value from the GPU, which leaves its lane idle: 3, of lower rank, fits in before it.
    work = {HOST: [1.0, 1e-6, 1e-5, 5e-6], build.GPU: [5e-5, 1.0, 1.0, 1.0]}
    problem = build.problem(work, [(0, 2, 1_000), (1, 2, 0)], build.lanes(cpu=1, gpu=1))
    schedule = heft(problem)
    assert schedule is not None
    assert schedule.lane == (1, 0, 0, 0)
    assert schedule.finish[3] <= schedule.start[2]


def test_a_full_device_is_not_considered(build: SimpleNamespace) -> None:
    work, memory = {HOST: [1e-3] * 6, build.GPU: [1e-4] * 6}, {build.GPU: [10] * 6}
    for limit, held in ((60, 6), (25, 2), (9, 0)):
        problem = build.problem(
            work, [(i, i + 1, 0) for i in range(5)], build.lanes(cpu=1, gpu=1), memory=memory, budget={build.GPU: limit}
        )
        schedule = heft(problem)
        assert schedule is not None
        validate_schedule(problem, schedule)
        assert schedule.lane.count(1) == held


def test_room_is_kept_for_what_runs_nowhere_else(build: SimpleNamespace) -> None:
    work = {HOST: [1e-3, 1e-3, float("inf")], build.GPU: [1e-5] * 3}
    options = {"memory": {build.GPU: [10, 10, 10]}, "budget": {build.GPU: 20}}
    problem = build.problem(work, [(0, 1, 0), (1, 2, 0)], build.lanes(cpu=1, gpu=1), **options)
    schedule = heft(problem)
    assert schedule is not None
    validate_schedule(problem, schedule)


def test_none_where_the_budget_cannot_be_kept(build: SimpleNamespace) -> None:
    options = {"memory": {build.GPU: [10, 10]}, "budget": {build.GPU: 15}}
    problem = build.problem({HOST: [float("inf")] * 2, build.GPU: [1e-5] * 2}, [], build.lanes(gpu=2), **options)
    assert all(from_scratch(algorithm, problem, QUICK) is None for algorithm in ALGORITHMS)
    assert best_device(problem) is None


def test_none_where_no_device_can_run_a_task(build: SimpleNamespace) -> None:
    problem = build.problem({HOST: [1e-5, float("inf")], build.GPU: [1e-5] * 2}, [], build.lanes(cpu=2))
    assert lower_bound(problem) == float("inf")
    assert all(from_scratch(algorithm, problem, QUICK) is None for algorithm in ALGORITHMS)
    assert best_device(problem) is None


def test_each_device_alone(build: SimpleNamespace) -> None:
    problem = build.bidirectional(3, build.lanes(cpu=2, gpu=1))
    alone = each_device(problem)
    assert list(alone) == [HOST, build.GPU]
    assert alone[HOST].makespan == pytest.approx(3 * 1004e-6)
    assert set(alone[build.GPU].lane) == {2}
    assert best_device(problem) == alone[build.GPU]
    assert on_device(problem, "cuda:7") is None


def test_copies_of_request_and_answer_count(build: SimpleNamespace) -> None:
    request, answer = 100_000, 200_000  # 20 and 30 µs
    problem = build.problem(
        {HOST: [1.0], build.GPU: [1e-4]}, [], build.lanes(cpu=1, gpu=1), host_in=[request], host_out=[answer]
    )
    schedule = best_device(problem)
    assert schedule is not None
    assert schedule.start[0] == pytest.approx(20e-6)
    assert schedule.makespan == pytest.approx(150e-6)


SCRIPT = """
import runpy, sys
from chrion_oracles.from_scratch import from_scratch
from chrion_planner.partition import Budget, coarsen, best_stages
from chrion_planner.partition.milp import MILP
quick = Budget(solver_nodes=5, search_work=50_000, stage_work=20_000, tasks=10)
for name, make in runpy.run_path(sys.argv[1])["INSTANCES"].items():
    small = coarsen(make(), 30e-6).problem
    print(name, from_scratch(MILP, small, quick), best_stages(make(), quick))
"""


def test_the_same_input_gives_the_same_output_in_every_process() -> None:
    conftest = Path(__file__).with_name("conftest.py")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(conftest)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1]
    assert "published" in outputs[0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"edges": [(1, 0, 0)]}, "lower to a higher"),
        ({"on": "twice"}, "names must differ"),
        ({"host_in": [1]}, "one entry for each of the 2 tasks"),
        ({"wide": {HOST: [1.0]}}, "one entry for each of the 2 tasks"),
        ({"seconds": [1.0, float("inf")], "wide": {HOST: [1.0, 1.0]}}, "cannot run on one"),
    ],
)
def test_a_problem_that_is_none_is_refused(build: SimpleNamespace, change: dict, problem: str) -> None:
    on = build.lanes(cpu=1) * 2 if change.pop("on", "") else build.lanes(cpu=1)
    with pytest.raises(ValueError, match=problem):
        build.problem({HOST: change.pop("seconds", [1.0, 1.0])}, change.pop("edges", []), on, **change)
