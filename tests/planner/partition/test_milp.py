"""The MILP against brute force, and its limits."""

from dataclasses import replace
from math import inf
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chrion_api import HOST
from chrion_oracles.from_scratch import from_scratch
from chrion_oracles.rules import validate_schedule
from chrion_planner.partition import Budget, Problem, lower_bound, solver
from chrion_planner.partition.heft import heft
from chrion_planner.partition.milp import MILP
from chrion_planner.partition.symmetry import renamed
from tests.support.schedules import best_device

ROUNDING = 1 + 1e-6
QUICK = Budget(search_work=50_000)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_equals_brute_force(build: SimpleNamespace, data: st.DataObject) -> None:
    problem = build.drawn(data, most=5)
    schedule, least = from_scratch(MILP, problem, QUICK), build.least_makespan(problem)
    if least == inf:
        assert schedule is None
        return
    assert schedule is not None
    validate_schedule(problem, schedule)
    assert schedule.optimal
    assert least / ROUNDING <= schedule.makespan <= least * ROUNDING


def test_never_worse_than_heft_and_one_lane(instance: Problem) -> None:
    budget = replace(QUICK, solver_nodes=1)
    schedule = from_scratch(MILP, instance, budget)
    for other in (heft(instance), best_device(instance)):
        assert schedule is None or other is None or schedule.makespan <= other.makespan


def test_finds_what_heft_misses(build: SimpleNamespace) -> None:
    problem = build.published()
    schedule = from_scratch(MILP, problem, QUICK)
    assert schedule is not None
    validate_schedule(problem, schedule)
    assert schedule.optimal
    assert schedule.makespan == 73


@pytest.mark.parametrize("seed", range(3))
def test_proves_what_is_best_within_a_budget_of_memory(build: SimpleNamespace, seed: int) -> None:
    problem = build.layered(seed, 9, build.lanes(cpu=2, gpu=1), budget=1_500)
    schedule = from_scratch(MILP, problem, QUICK)
    validate_schedule(problem, schedule)
    assert schedule.optimal
    assert not schedule.truncated


def test_a_limit_on_nodes_keeps_the_best_so_far(build: SimpleNamespace) -> None:
    problem = build.grid(4, 6, each=100e-6)
    schedule = from_scratch(MILP, problem, replace(QUICK, solver_nodes=1))
    validate_schedule(problem, schedule)
    assert not schedule.optimal
    assert not schedule.truncated


def test_the_clock_marks_the_schedule(build: SimpleNamespace) -> None:
    problem = build.grid(4, 6, each=100e-6)
    schedule = from_scratch(MILP, problem, Budget(seconds=0.2, solver_nodes=10**6, search_work=0))
    validate_schedule(problem, schedule)
    assert schedule.truncated
    assert not schedule.optimal


def test_none_above_its_size(build: SimpleNamespace) -> None:
    assert from_scratch(MILP, build.chain(QUICK.tasks + 1), QUICK) is None
    assert from_scratch(MILP, build.fork_join(22, 1e-4), QUICK) is None
    assert from_scratch(MILP, build.chain(QUICK.tasks), QUICK) is not None
    assert from_scratch(MILP, build.moldable(0, 17, build.lanes(cpu=4)), QUICK) is None
    assert from_scratch(MILP, build.moldable(0, 16, build.lanes(cpu=4)), replace(QUICK, solver_nodes=1)) is not None


def test_a_schedule_at_the_bound_needs_no_solver(build: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    def called(program, budget):
        raise AssertionError("called")

    monkeypatch.setattr(solver, "solve", called)
    problem = build.chain(8)
    schedule = from_scratch(MILP, problem, QUICK)
    assert schedule.optimal
    assert schedule.makespan == lower_bound(problem)


def test_finds_a_placement_that_heft_runs_out_of_room_for(build: SimpleNamespace) -> None:
    # Greedily the first task takes the room on the GPU that the second, too large for it elsewhere, would need.
    problem = build.problem(
        {HOST: [2e-4, 9e-4, 9e-4], build.GPU: [1e-4, 1e-4, 1e-4]},
        [(0, 1, 0), (1, 2, 0)],
        build.lanes(cpu=1, gpu=1),
        memory={build.GPU: [10, 10, 10]},
        budget={build.GPU: 20},
    )
    schedule, greedy = from_scratch(MILP, problem, QUICK), heft(problem)
    assert schedule is not None
    assert greedy is not None
    validate_schedule(problem, schedule)
    assert schedule.lane == (0, 1, 1)
    assert schedule.makespan < greedy.makespan


def test_scaling_may_round_a_time_past_its_bound(build: SimpleNamespace) -> None:
    # 3 ms is the whole makespan, and in the program's unit a little more than that.
    work = {HOST: [3e-3, 0.0, 0.0, 0.0, 2e-4], build.GPU: [inf, 0.0, inf, inf, 0.0]}
    edges = [(0, 2, 0), (0, 3, 0), (0, 4, 0), (1, 2, 0), (1, 4, 1_000_000), (0, 1, 0), (1, 3, 0)]
    problem = build.problem(work, edges, build.lanes(cpu=2, gpu=1))
    schedule = from_scratch(MILP, problem, QUICK)
    assert schedule is not None
    assert schedule.optimal
    assert schedule.makespan == pytest.approx(build.least_makespan(problem))


def test_lanes_are_renamed_in_the_order_of_their_tasks(build: SimpleNamespace) -> None:
    problem = build.layered(0, 6, build.lanes(cpu=3, gpu=1))
    lanes = list(problem.times)
    places = [lanes[at] for at in (2, 3, 0, 2, 1, 0)]
    assert renamed(problem, places) == [lanes[at] for at in (0, 3, 1, 0, 2, 1)]
