"""Local search: at least as good as every start, within all rules, and the same each time."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from chrion_oracles.from_scratch import from_scratch
from chrion_oracles.rules import validate_schedule
from chrion_planner.partition import Budget, Problem, lower_bound
from chrion_planner.partition.algorithms import starts
from chrion_planner.partition.search import SEARCH, search
from tests.support.schedules import best_device

QUICK = Budget(search_work=100_000)


def test_never_worse_than_any_start(instance: Problem) -> None:
    found = from_scratch(SEARCH, instance, QUICK)
    assert found is not None
    validate_schedule(instance, found)
    for start in starts(instance).values():
        assert found.makespan <= start.makespan


def test_finds_what_no_list_scheduler_does(build: SimpleNamespace) -> None:
    problem = build.published()
    assert min(start.makespan for start in starts(problem).values()) == 80
    found = from_scratch(SEARCH, problem, QUICK)
    assert found is not None
    assert 73 <= found.makespan < 77  # 73 is the best there is


def test_the_same_problem_gives_the_same_schedule(build: SimpleNamespace) -> None:
    problem = build.layered(3, 40, build.lanes(cpu=2, gpu=1), budget=5_000)
    assert from_scratch(SEARCH, problem, QUICK) == from_scratch(SEARCH, problem, QUICK)


def test_without_work_the_best_start_is_left(build: SimpleNamespace) -> None:
    problem = build.layered(3, 40, build.lanes(cpu=2, gpu=1))
    found = from_scratch(SEARCH, problem, replace(QUICK, search_work=0))
    assert found is not None
    assert found.makespan == min(start.makespan for start in starts(problem).values())


def test_what_reaches_the_bound_is_optimal(build: SimpleNamespace) -> None:
    problem = build.bidirectional(1, build.lanes(cpu=1))
    found = from_scratch(SEARCH, problem, QUICK)
    assert found is not None
    assert found.optimal
    assert found.makespan == pytest.approx(lower_bound(problem))


def test_tasks_that_share_weights_move_together(build: SimpleNamespace) -> None:
    # Chunks of two layers, all on one lane to begin with: each layer goes elsewhere as a whole, or not at all.
    chunks = 6
    edges = [(i, i + 1, 64) for i in range(2 * chunks - 1) if i != chunks - 1]
    edges += [(i, chunks + i, 64) for i in range(chunks)]
    problem = build.problem({"cpu": [3e-4] * 2 * chunks}, edges, build.lanes(cpu=2))
    problem = replace(problem, weight_groups=[0] * chunks + [1] * chunks)
    alone = best_device(problem)
    assert alone is not None
    found = search(problem, QUICK, [alone])
    assert found is not None
    validate_schedule(problem, found)
    assert [len(set(found.lane[:chunks])), len(set(found.lane[chunks:]))] == [1, 1]
    assert found.makespan < 0.7 * alone.makespan
