"""From a problem to stages: never worse than what any algorithm gives by itself, and a bound that holds."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from chrion_api import HOST
from chrion_oracles.rules import validate_stages
from chrion_planner.partition import Budget, Problem, best_stages, lower_bound, partitions, simulate
from chrion_planner.partition.algorithms import starts
from chrion_planner.partition.heft import heft
from chrion_planner.partition.join_stages import joined
from chrion_planner.partition.pipeline import FINE
from chrion_planner.partition.simulate import StageDag
from chrion_planner.partition.stages import alone, cut

QUICK = Budget(search_work=50_000, tasks=0)
ROUNDING = 1 + 1e-9


def test_never_worse_than_any_start(instance: Problem) -> None:
    found = best_stages(instance, QUICK)
    assert found is not None
    validate_stages(instance, found.simulation.stages, found.simulation.makespan)
    for schedule in starts(instance).values():
        if len(instance.tasks) <= FINE:
            for stages in (cut(instance, schedule), alone(schedule)):
                assert found.simulation.makespan <= simulate(instance, stages).makespan * ROUNDING


def test_partitions_differ_and_the_best_comes_first(build: SimpleNamespace) -> None:
    problem = build.layered(3, 40, build.lanes(cpu=2, gpu=1))
    found = list(partitions(problem, QUICK))
    assert len(found) > 1
    assert len({one.simulation.stages for one in found}) == len(found)
    assert len({one.name for one in found}) == len(found)
    makespans = [one.simulation.makespan for one in found]
    assert makespans == sorted(makespans)


def test_what_a_solver_proves_holds_for_all_stages(build: SimpleNamespace) -> None:
    problem = build.published()
    found = best_stages(problem, Budget(search_work=100_000))
    assert found is not None
    assert lower_bound(problem) < found.bound <= found.simulation.makespan == pytest.approx(73)


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_proved_of_problems_whose_hops_are_saved_by_stages(build: SimpleNamespace, seed: int) -> None:
    small = build.layered(seed, 10, build.lanes(cpu=2))
    problem = replace(small, hop={HOST: max(small.seconds[HOST])})
    for found in partitions(problem, Budget(search_work=50_000)):
        assert found.bound <= found.simulation.makespan * ROUNDING


def test_a_problem_above_a_few_tasks_is_coarsened(build: SimpleNamespace) -> None:
    problem = build.grid(8, 32, nodes=13)
    assert len(problem.tasks) == 3_328
    found = best_stages(problem, QUICK)
    assert found is not None
    validate_stages(problem, found.simulation.stages, found.simulation.makespan)
    assert found.simulation.makespan < 1.1 * lower_bound(problem)
    assert found.bound == 0  # nothing that is proved of fewer, larger tasks holds for these


def test_none_where_nothing_can_run(build: SimpleNamespace) -> None:
    assert best_stages(build.problem({HOST: [float("inf")]}, [], build.lanes(cpu=2)), QUICK) is None


def test_joining_delays_nothing(instance: Problem) -> None:
    schedule = heft(instance)
    assert schedule is not None
    before = StageDag.of(instance, alone(schedule))
    after = joined(before).run()
    assert before.makespan is not None
    assert after is not None
    validate_stages(instance, after.stages, after.makespan)
    assert after.makespan <= before.makespan * ROUNDING
    assert len(after.stages) <= len(before.nodes)
