"""The exact solvers agree, with each other and with brute force, and either will do."""

from types import SimpleNamespace

import pytest

from chrion_planner.partition import Budget, from_scratch, lower_bound, validate_schedule
from chrion_planner.partition import cpsat as module
from chrion_planner.partition.algorithms import proved
from chrion_planner.partition.cpsat import CP_SAT
from chrion_planner.partition.heft import heft
from chrion_planner.partition.milp import MILP
from chrion_planner.partition.symmetry import renamed

BUDGET = Budget(search_work=0)  # the worst start there is, so that the solvers have something to do
needs_ortools = pytest.mark.skipif(not module.available(), reason="needs ortools: the extra `exact`")


@needs_ortools
@pytest.mark.parametrize("seed", range(4))
def test_cp_sat_agrees_with_the_integer_program(build: SimpleNamespace, seed: int) -> None:
    problem = build.layered(seed, 9, build.lanes(cpu=2, gpu=1), budget=1_500)
    one, other = from_scratch(CP_SAT, problem, BUDGET), from_scratch(MILP, problem, BUDGET)
    assert one is not None
    assert other is not None
    validate_schedule(problem, one)
    assert one.optimal
    assert one.makespan == pytest.approx(other.makespan, rel=2e-5)


@needs_ortools
def test_cp_sat_equals_brute_force_where_tasks_are_moldable(build: SimpleNamespace) -> None:
    for problem in (build.moldable(1, 5, build.lanes(cpu=2)), build.siblings(3, 300e-6)):
        schedule = from_scratch(CP_SAT, problem, BUDGET)
        assert schedule is not None
        validate_schedule(problem, schedule)
        assert schedule.optimal
        assert schedule.makespan == pytest.approx(build.least_makespan(problem), rel=2e-5)


@needs_ortools
def test_cp_sat_stops_when_its_work_is_done(build: SimpleNamespace) -> None:
    problem = build.layered(3, 40, build.lanes(cpu=2, gpu=1))
    schedule = from_scratch(CP_SAT, problem, Budget(search_work=0, solver_seconds=0.01))
    assert schedule is not None
    validate_schedule(problem, schedule)
    assert not schedule.optimal
    assert not schedule.truncated
    assert lower_bound(problem) <= schedule.bound <= schedule.makespan


def test_the_integer_program_is_there_without_ortools(build: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available", lambda: False)
    problem = build.published()
    schedule = proved(problem, BUDGET, heft(problem))
    assert schedule is not None
    assert schedule.makespan == 73
    assert schedule.optimal


def test_lanes_are_renamed_in_the_order_of_their_tasks(build: SimpleNamespace) -> None:
    problem = build.layered(0, 6, build.lanes(cpu=3, gpu=1))
    lanes = list(problem.times)
    places = [lanes[at] for at in (2, 3, 0, 2, 1, 0)]
    assert renamed(problem, places) == [lanes[at] for at in (0, 3, 1, 0, 2, 1)]
