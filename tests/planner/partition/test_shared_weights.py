"""Tasks that share weights: one place for all of them, and a stage for each."""

from dataclasses import replace

import networkx as nx
import pytest

from chrion_oracles.from_scratch import from_scratch
from chrion_oracles.rules import validate_schedule, validate_stages
from chrion_planner.errors import ScheduleError
from chrion_planner.partition import Budget, Lane, Problem, StagePlan, coarsen
from chrion_planner.partition.heft import heft
from chrion_planner.partition.milp import MILP
from tests.support.schedules import group

MICRO = 1e-6
LAYERS, CHUNKS = 2, 6

QUICK = Budget(search_work=50_000)


def wavefront() -> Problem:
    """A stack of layers in time chunks, each chunk behind a cheap reshape; a layer's chunks share its weights."""
    tasks: nx.DiGraph[int] = nx.DiGraph()
    groups: list[int | None] = []
    seconds: list[float] = []
    for chunk in range(CHUNKS):
        for layer in range(LAYERS):
            reshape, cell = 2 * (chunk * LAYERS + layer), 2 * (chunk * LAYERS + layer) + 1
            tasks.add_edge(reshape, cell, bytes=100)
            if layer:
                tasks.add_edge(cell - 2, reshape, bytes=100)
            if chunk:
                tasks.add_edge(cell - 2 * LAYERS, cell, bytes=100)
            groups += [None, layer]
            seconds += [2 * MICRO, 500 * MICRO]
    return Problem(
        tasks=tasks,
        seconds={"cpu": seconds},
        lanes=(Lane("cpu/0", "cpu"), Lane("cpu/1", "cpu")),
        host_in=[0] * len(seconds),
        host_out=[0] * len(seconds),
        hop={"cpu": 5 * MICRO},
        handoff={"cpu": 30 * MICRO},
        links={},
        weight_groups=groups,
    )


def test_each_layer_stays_on_one_lane_and_each_chunk_is_a_stage():
    problem = wavefront()
    small = coarsen(problem, cheap_seconds=30 * MICRO)
    schedule = heft(small.problem)
    assert schedule is not None
    validate_schedule(small.problem, schedule)
    simulation = group(small.problem, schedule)
    stages = small.expand(simulation.stages)
    validate_stages(problem, stages, simulation.makespan)
    layers = {
        number: {stage.lane for stage in stages for task in stage.tasks if problem.weight_groups[task] == number}
        for number in range(LAYERS)
    }
    assert sorted(layers.values(), key=min) == [{0}, {1}]
    assert simulation.makespan < 0.75 * LAYERS * CHUNKS * 500 * MICRO


def test_the_validator_refuses_sharers_apart_and_sharers_with_others():
    problem = wavefront()
    apart = [StagePlan((task,), lane=task % 4 // 2) for task in range(len(problem.tasks))]
    moved = [replace(stage, lane=1 - stage.lane) if stage.tasks == (5,) else stage for stage in apart]
    with pytest.raises(ScheduleError, match="shared weights at one place"):
        validate_stages(problem, moved)
    together = [StagePlan((0, 1), 0), *apart[2:]]
    with pytest.raises(ScheduleError, match="a stage for each task that shares weights"):
        validate_stages(problem, together)


def test_the_integer_program_takes_no_shared_weights():
    assert from_scratch(MILP, wavefront(), QUICK) is None
    assert from_scratch(MILP, replace(wavefront(), weight_groups=()), QUICK) is not None
