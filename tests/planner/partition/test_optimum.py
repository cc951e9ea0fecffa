"""The optimum that CP-SAT finds is that of the integer program and of brute force."""

from types import SimpleNamespace

import pytest

from chrion_oracles.from_scratch import from_scratch
from chrion_oracles.optimum import available, optimum
from chrion_oracles.rules import validate_schedule
from chrion_planner.partition import Budget, Problem, Schedule, lower_bound
from chrion_planner.partition.milp import MILP
from tests.support.schedules import best_device

pytestmark = pytest.mark.skipif(not available(), reason="needs ortools: the extra `bench`")


def solved(problem: Problem, work: float = 0.3) -> Schedule:
    """The optimum from the worst start there is, so that the solver has something to do."""
    first = best_device(problem)
    assert first is not None
    found = optimum(problem, first, work, seconds=60.0)
    validate_schedule(problem, found)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_the_integer_program(build: SimpleNamespace, seed: int) -> None:
    problem = build.layered(seed, 9, build.lanes(cpu=2, gpu=1), budget=1_500)
    one, other = solved(problem), from_scratch(MILP, problem, Budget(search_work=0))
    assert other is not None
    assert one.optimal
    assert one.makespan == pytest.approx(other.makespan, rel=2e-5)


def test_equals_brute_force_where_tasks_are_moldable(build: SimpleNamespace) -> None:
    for problem in (build.moldable(1, 5, build.lanes(cpu=2)), build.siblings(3, 300e-6)):
        schedule = solved(problem)
        assert schedule.optimal
        assert schedule.makespan == pytest.approx(build.least_makespan(problem), rel=2e-5)


def test_stops_when_its_work_is_done(build: SimpleNamespace) -> None:
    problem = build.layered(3, 40, build.lanes(cpu=2, gpu=1))
    schedule = solved(problem, work=0.01)
    assert not schedule.optimal
    assert not schedule.truncated
    assert lower_bound(problem) <= schedule.bound <= schedule.makespan
