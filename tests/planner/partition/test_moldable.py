"""Moldable tasks: what takes all lanes of a device, what runs side by side, and how near to the best that is."""

from dataclasses import replace
from statistics import mean
from types import SimpleNamespace

import pytest

from chrion_api import HOST
from chrion_oracles.from_scratch import from_scratch
from chrion_oracles.rules import validate_schedule, validate_stages
from chrion_planner.partition import Budget, Place, Problem, Simulation, coarsen, lower_bound, simulate
from chrion_planner.partition.heft import HEFT, heft
from chrion_planner.partition.milp import MILP
from tests.support.schedules import group

CHEAP = 30e-6
QUICK = Budget(search_work=50_000)
WIDE = Place(0, wide=True)


def planned(problem: Problem) -> Simulation:
    """The stages of the coarsened problem, as the planner makes them."""
    small = coarsen(problem, CHEAP)
    schedule = heft(small.problem)
    assert schedule is not None
    validate_schedule(small.problem, schedule)
    simulation = simulate(problem, small.expand(group(small.problem, schedule).stages))
    validate_stages(problem, simulation.stages, simulation.makespan)
    return simulation


def places(problem: Problem) -> list[Place]:
    """For each task the place where HEFT puts it."""
    schedule = heft(problem)
    assert schedule is not None
    validate_schedule(problem, schedule)
    return list(schedule.places)


def test_a_chain_of_wide_work_is_one_wide_stage(build: SimpleNamespace) -> None:
    # Cheap tasks between, which gain nothing, do not end the stage.
    host = [2e-3, 8e-6, 2e-3, 8e-6, 60e-6, 2e-3]
    chain = [(i, i + 1, 4_096) for i in range(len(host) - 1)]
    wide = [seconds / 2 + 1e-6 if seconds == 2e-3 else seconds for seconds in host]
    problem = build.problem({HOST: host}, chain, build.lanes(cpu=2), wide={HOST: wide})
    for simulation in (planned(problem), group(problem, heft(problem))):
        (stage,) = simulation.stages
        assert stage.place == WIDE
        assert simulation.makespan == pytest.approx(sum(wide) + build.HOP)


@pytest.mark.parametrize(
    ("count", "wide", "makespan"),
    [
        (1, 300e-6, 300e-6),
        (2, 300e-6, 500e-6),  # 600 µs one after the other
        (2, 240e-6, 480e-6),
        (3, 300e-6, 800e-6),  # two side by side, then the third on both lanes
        (4, 300e-6, 1000e-6),
    ],
)
def test_siblings(build: SimpleNamespace, count: int, wide: float, makespan: float) -> None:
    problem = build.siblings(count, wide)
    for algorithm in (HEFT, MILP):
        schedule = from_scratch(algorithm, problem, QUICK)
        validate_schedule(problem, schedule)
        assert schedule.makespan == pytest.approx(makespan)


def test_wide_work_waits_until_it_is_alone(build: SimpleNamespace) -> None:
    # A chain of 100 µs a task, 55 µs wide, beside a task of 500 µs: half of it runs beside that, the rest wide.
    edges = [(i, i + 1, 0) for i in range(1, 10)]
    host, wide = [500e-6] + [100e-6] * 10, [1.0] + [55e-6] * 10
    problem = build.problem({HOST: host}, edges, build.lanes(cpu=2), wide={HOST: wide})
    assert sum(place.wide for place in places(problem)) == 5
    assert heft(problem).makespan == pytest.approx(775e-6 + build.HANDOFF, abs=build.HANDOFF)


def test_wide_at_both_ends_and_side_by_side_between(build: SimpleNamespace) -> None:
    problem = build.denoiser()
    simulation = planned(problem)
    place_of = {task: stage.place for stage in simulation.stages for task in stage.tasks}
    assert simulation.stages[0].place == WIDE
    assert simulation.stages[-1].place == WIDE
    assert all(place_of[task] == WIDE for task in (0, *range(17, 23)))
    # Of the recurrent chunks only the first and the last, which nothing runs beside, may be wide.
    assert not any(place_of[task].wide for task in (*range(2, 9), *range(9, 16)))
    assert {place_of[task] for task in range(2, 9)} != {place_of[task] for task in range(9, 16)}
    narrow = planned(replace(problem, wide={}))
    assert simulation.makespan < narrow.makespan - 3.5e-3
    assert simulation.makespan < 1.04 * lower_bound(problem)


def test_recurrent_chunks_run_side_by_side_even_where_all_lanes_are_a_little_faster(build: SimpleNamespace) -> None:
    simulation = planned(build.denoiser(chunks=4, on=build.lanes(cpu=2)))
    narrow = [stage for stage in simulation.stages if not stage.wide]
    assert {stage.lane for stage in narrow} == {0, 1}
    assert sum(len(stage.tasks) for stage in narrow) >= 6


def test_an_accelerator_works_beside_a_wide_stage(build: SimpleNamespace) -> None:
    problem = build.problem(
        {HOST: [4e-3, 9e-3, 1e-5], build.GPU: [9e-3, 2e-3, 1e-5]},
        [(0, 2, 4_096), (1, 2, 4_096)],
        build.lanes(cpu=4, gpu=1),
        wide={HOST: [1.1e-3, 2.5e-3, 1e-5]},
    )
    simulation = planned(problem)
    place_of = {task: stage.place for stage in simulation.stages for task in stage.tasks}
    assert place_of[0] == WIDE
    assert place_of[1] == Place(4)
    assert simulation.makespan < 2.1e-3


def test_a_loss_on_all_lanes_is_not_taken(build: SimpleNamespace) -> None:
    problem = build.denoiser()
    slower = replace(problem, wide={HOST: [1.1 * seconds for seconds in problem.seconds[HOST]]})
    assert heft(slower) == heft(replace(problem, wide={}))
    assert not any(stage.wide for stage in planned(slower).stages)


@pytest.mark.parametrize("wide", [{}, {HOST: [float("inf")] * 23}, {"cuda:0": [1e-6] * 23}])
def test_no_offer(build: SimpleNamespace, wide: dict) -> None:
    problem = build.denoiser(on=build.lanes(cpu=2, gpu=1))
    without = replace(problem, wide={})
    assert heft(replace(problem, wide=wide)) == heft(without)
    assert planned(replace(problem, wide=wide)) == planned(without)


def test_one_lane_offers_none(build: SimpleNamespace) -> None:
    problem = build.denoiser(on=build.lanes(cpu=1))
    assert not any(place.wide for place in places(problem))
    assert lower_bound(problem) == pytest.approx(sum(problem.seconds[HOST]))


def test_the_bound_counts_the_lanes_that_wide_work_holds(build: SimpleNamespace) -> None:
    assert lower_bound(build.siblings(1, 300e-6)) == pytest.approx(300e-6)
    assert lower_bound(build.siblings(4, 300e-6)) == pytest.approx(1000e-6)
    assert lower_bound(build.siblings(4, 240e-6)) == pytest.approx(960e-6)


def test_a_budget_holds_for_wide_work_too(build: SimpleNamespace) -> None:
    problem = build.problem(
        {HOST: [1e-3] * 3, build.GPU: [1e-4] * 3},
        [(0, 1, 0), (1, 2, 0)],
        build.lanes(cpu=1, gpu=2),
        memory={build.GPU: [10] * 3},
        budget={build.GPU: 20},
        wide={build.GPU: [6e-5] * 3},
    )
    for algorithm in (HEFT, MILP):
        schedule = from_scratch(algorithm, problem, QUICK)
        validate_schedule(problem, schedule)
        assert sorted(schedule.places) == [Place(0), Place(1, wide=True), Place(1, wide=True)]


def test_coarsening_keeps_wide_and_narrow_work_apart(build: SimpleNamespace) -> None:
    # MatMul, Add, MatMul; recurrent, hardly faster on both lanes; cheap, MatMul.
    host, wide = [2e-3, 8e-6, 2e-3, 3e-3, 8e-6, 2e-3], [1.05e-3, 8e-6, 1.05e-3, 2.8e-3, 8e-6, 1.05e-3]
    chain = [(i, i + 1, 4_096) for i in range(5)]
    problem = build.problem({HOST: host}, chain, build.lanes(cpu=2), wide={HOST: wide})
    coarse = coarsen(problem, CHEAP)
    assert coarse.members[0] == (0, 1, 2)
    assert coarse.problem.wide[HOST][0] == pytest.approx(2.108e-3)
    assert [members for members in coarse.members if 3 in members and (2 in members or 5 in members)] == []
    assert all(seconds < 1 for seconds in coarse.problem.wide[HOST])


def test_coarsening_loses_no_offer_that_is_worth_taking(build: SimpleNamespace) -> None:
    host, wide = [2e-3, 8e-6, 2e-3], [1.05e-3, float("inf"), 1.05e-3]
    problem = build.problem({HOST: host}, [(0, 1, 0), (1, 2, 0)], build.lanes(cpu=2), wide={HOST: wide})
    assert len(coarsen(problem, CHEAP).members) == 3
    assert [place.wide for place in places(problem)] == [True, False, True]


@pytest.mark.parametrize(("cpu", "gpu"), [(2, 0), (3, 0), (2, 1)])
def test_near_the_best_of_all_schedules(build: SimpleNamespace, cpu: int, gpu: int) -> None:
    """Over tiny problems: within a tenth of the best, and 2 % in the mean, hops left aside."""
    ratios = []
    for seed in range(5):
        problem = build.moldable(seed, 5, build.lanes(cpu=cpu, gpu=gpu))
        problem = replace(problem, hop=dict.fromkeys(problem.hop, 0.0))
        least = build.least_makespan(problem)
        assert least >= lower_bound(problem) / (1 + 1e-9)
        ratios.append(group(problem, heft(problem)).makespan / least)
    assert max(ratios) < 1.1
    assert mean(ratios) < 1.02


@pytest.mark.parametrize("seed", range(6))
def test_near_the_proven_optimum(build: SimpleNamespace, seed: int) -> None:
    problem = build.moldable(seed, 9, build.lanes(cpu=2))
    best = from_scratch(MILP, problem, Budget(solver_nodes=3_000, search_work=200_000))
    assert best is not None
    assert best.optimal
    validate_schedule(problem, best)
    assert group(problem, heft(problem)).makespan < 1.1 * group(problem, best).makespan
