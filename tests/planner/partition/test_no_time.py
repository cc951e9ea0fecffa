"""Tasks, stages, hops and copies that take no time: what begins together must still wait for what it reads."""

import random
from dataclasses import replace
from types import SimpleNamespace

import pytest

from chrion_api import HOST
from chrion_oracles.rules import validate_schedule, validate_stages
from chrion_planner.partition import (
    Budget,
    Link,
    Problem,
    StagePlan,
    best_stages,
    coarsen,
    first_stages,
    simulate,
    starts,
)
from chrion_planner.partition.stages import alone, cut, improve


def instant(build: SimpleNamespace, seed: int) -> Problem:
    """A random graph in which half of all tasks take no time, hops none, and hand-offs and copies mostly none."""
    choose = random.Random(seed)
    count = choose.randint(2, 14)
    edges = [(i, j, choose.choice((0, 1_000))) for j in range(count) for i in range(j) if choose.random() < 1.5 / count]
    host = [choose.choice((0.0, 0.0, 100e-6, 300e-6)) for _ in range(count)]
    problem: Problem = build.problem(
        {HOST: host, build.GPU: [seconds / choose.choice((1, 2)) for seconds in host]},
        edges,
        choose.choice((build.lanes(cpu=2), build.lanes(cpu=3), build.lanes(cpu=2, gpu=1), build.lanes(cpu=2, gpu=2))),
        wide={HOST: [seconds * choose.choice((0.5, 0.8)) for seconds in host]} if choose.random() < 0.4 else None,
    )
    nothing = dict.fromkeys(problem.hop, 0.0)
    return replace(
        problem,
        hop=nothing,
        handoff=nothing if choose.random() < 0.8 else problem.handoff,
        links=dict.fromkeys(problem.links, Link(0.0, 1e30)) if choose.random() < 0.5 else problem.links,
        crowded={HOST: [1.5 * seconds for seconds in host]} if choose.random() < 0.2 else {},
        weight_groups=[choose.choice((None, None, 0)) for _ in range(count)] if choose.random() < 0.2 else (),
    )


@pytest.mark.parametrize("block", range(12))
def test_every_step_keeps_the_rules(build: SimpleNamespace, block: int) -> None:
    for seed in range(100 * block, 100 * block + 100):
        problem = instant(build, seed)
        for schedule in starts(problem).values():
            validate_schedule(problem, schedule)
            for stages in (cut(problem, schedule), alone(schedule)):
                found = simulate(problem, stages)
                validate_stages(problem, found.stages, found.makespan)
            first = first_stages(problem, schedule)
            better, _ = improve(problem, first, 500)
            for found in (first, better):
                validate_stages(problem, found.stages, found.makespan)
                # Anew in the order given, with the rounding of lanes that slow each other.
                assert simulate(problem, found.stages).makespan == pytest.approx(found.makespan, rel=1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_the_best_stages_keep_the_rules(build: SimpleNamespace, seed: int) -> None:
    problem = instant(build, seed)
    found = best_stages(problem, Budget(search_work=1_000, tasks=0, stage_work=500))
    assert found is not None
    validate_stages(problem, found.simulation.stages, found.simulation.makespan)
    small = coarsen(problem, cheap_seconds=100e-6)
    simulate(problem, small.expand(simulate(small.problem, alone(starts(small.problem)["heft"])).stages))


def test_a_stage_comes_after_one_that_it_reads_from_and_begins_and_ends_with(build: SimpleNamespace) -> None:
    problem = build.problem({HOST: [0.0] * 3}, [(0, 1, 0), (1, 2, 0)], build.lanes(cpu=2))
    problem = replace(problem, hop={HOST: 0.0}, handoff={HOST: 0.0})
    simulation = simulate(problem, [StagePlan((0,), 1), StagePlan((1,), 0), StagePlan((2,), 1)])
    assert [stage.tasks for stage in simulation.stages] == [(0,), (1,), (2,)]
