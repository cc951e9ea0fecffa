"""Coarsening: smaller, still a problem, and no parallelism lost that matters."""

from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chrion_api import HOST
from chrion_oracles.rules import validate_stages
from chrion_planner.partition import Problem, coarsen, lower_bound, simulate
from chrion_planner.partition.coarsen import GRAIN, Coarse
from chrion_planner.partition.heft import heft
from tests.support.schedules import group

CHEAP = 30e-6


def check(problem: Problem, coarse: Coarse) -> None:
    """The groups are a partition, their problem is one (its constructor checks the numbering), and sums are kept."""
    small = coarse.problem
    assert sorted(task for group in coarse.members for task in group) == list(range(len(problem.tasks)))
    for device in problem.devices:
        assert sum(small.seconds[device]) == pytest.approx(sum(problem.seconds[device]))
    assert sum(small.host_in) == sum(problem.host_in)
    assert sum(small.host_out) == sum(problem.host_out)
    for device, values in problem.wide.items():
        assert sum(small.wide[device]) == pytest.approx(sum(values))
    for device, values in problem.memory.items():
        assert sum(small.memory[device]) == sum(values)
    for group_ in coarse.members:
        for device in problem.devices:
            assert len({problem.can_run(task, device) for task in group_}) == 1


@pytest.mark.parametrize("cheap", [0.0, CHEAP])
def test_instances(instance: Problem, cheap: float) -> None:
    coarse = coarsen(instance, cheap)
    check(instance, coarse)
    schedule = heft(coarse.problem)
    assert schedule is not None
    simulation = simulate(instance, coarse.expand(group(coarse.problem, schedule).stages))
    validate_stages(instance, simulation.stages, simulation.makespan)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_random_problems(build: SimpleNamespace, data: st.DataObject) -> None:
    problem = build.drawn(data, most=14)
    check(problem, coarsen(problem, data.draw(st.sampled_from((0.0, CHEAP, 1.0)))))


def test_a_chain_becomes_one_task(build: SimpleNamespace) -> None:
    coarse = coarsen(build.chain(20))
    assert coarse.members == (tuple(range(20)),)
    assert coarse.problem.seconds[HOST][0] == pytest.approx(2e-3)


def test_parallel_work_stays_apart(build: SimpleNamespace) -> None:
    assert len(coarsen(build.bidirectional(4), CHEAP).members) == 12
    assert len(coarsen(build.fork_join(6, 400e-6), CHEAP).members) >= 6


def test_a_chain_is_cut_where_the_better_device_changes(build: SimpleNamespace) -> None:
    work = {HOST: [1e-4, 1e-4, 1e-3, 1e-3], build.GPU: [1e-3, 1e-3, 1e-4, 1e-4]}
    problem = build.problem(work, [(0, 1, 0), (1, 2, 0), (2, 3, 0)], build.lanes(cpu=1, gpu=1))
    assert coarsen(problem, CHEAP).members == ((0, 1), (2, 3))


def test_a_value_read_twice_counts_once_and_two_values_twice(build: SimpleNamespace) -> None:
    inf = float("inf")
    edges = [(0, 1, 100), (0, 2, 100), (1, 2, 7), (2, 3, 10), (1, 3, 10)]
    work = {HOST: [1e-4, 1e-6, 1e-6, 1e-4], build.GPU: [inf, 1e-6, 1e-6, inf]}
    coarse = coarsen(build.problem(work, edges, build.lanes(cpu=1, gpu=1)), 3e-6)
    assert coarse.members == ((0,), (1, 2), (3,))
    assert list(coarse.problem.tasks.edges(data="bytes")) == [(0, 1, 100), (1, 2, 20)]


def test_merged_tasks_leave_a_budget_divisible(build: SimpleNamespace) -> None:
    problem = build.problem(
        {HOST: [1e-3] * 40, build.GPU: [1e-4] * 40},
        [(i, i + 1, 0) for i in range(39)],
        build.lanes(cpu=1, gpu=1),
        memory={build.GPU: [10] * 40},
        budget={build.GPU: 320},
    )
    coarse = coarsen(problem, CHEAP)
    assert max(coarse.problem.memory[build.GPU]) <= 320 / GRAIN
    schedule = heft(coarse.problem)
    assert schedule is not None
    assert sum(coarse.problem.memory[build.GPU][t] for t, lane in enumerate(schedule.lane) if lane == 1) == 320


def test_a_grid_of_thousands_of_nodes_becomes_its_cells(build: SimpleNamespace) -> None:
    problem = build.grid(8, 32, nodes=13)
    coarse = coarsen(problem, CHEAP)
    assert len(problem.tasks) == 3_328
    assert len(coarse.members) <= 300
    schedule = heft(coarse.problem)
    assert schedule is not None
    simulation = simulate(problem, coarse.expand(group(coarse.problem, schedule).stages))
    validate_stages(problem, simulation.stages, simulation.makespan)
    assert simulation.makespan < 1.1 * lower_bound(problem)
