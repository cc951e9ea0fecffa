"""ONNX Runtime's own budgeted placement, emulated: what `session.resource_cuda_partitioning_settings` does.

ONNX Runtime walks the nodes in their topological order and gives each one to CUDA for as long as the budget lasts; at
the first one that does not fit it stops, and all that is left runs on the CPU. Nodes that CUDA does not have go to the
CPU on the way and cost nothing. One session runs it all, one node after the other, with a copy wherever a value changes
sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from math import isfinite

import networkx as nx

from chrion_api import HOST, GpuBytes, Optimization, Profile, Stage
from chrion_planner.costs import Costs, GraphBucket, costs
from chrion_planner.memory import gpu_bytes, inner_bytes, peak_bytes, sessions
from chrion_planner.partition import Place, Problem, StagePlan, simulate
from chrion_runtime.run.executor import SLOTS


@dataclass(frozen=True)
class Point:
    """What one placement takes: seconds of a run, and bytes on the GPU without the process's context."""

    seconds: float
    bytes: int


def placements(bucket: GraphBucket, profile: Profile, device: str, steps: int) -> list[Point]:
    """The points of a sweep over `steps` even budgets, up to all that the model's weights take; no two the same.

    Budgets too small for any node are left out: nothing would be on the GPU. Raises ProfileMismatch.
    """
    work = costs(bucket, profile, Optimization.ALL)
    takes = work.problem.memory[device]
    whole = sum(takes)
    found = {placed(work.problem, device, round(whole * step / steps)) for step in range(1, steps + 1)}
    return [_point(bucket, work, device, tasks) for tasks in sorted(found, key=len) if tasks]


def placed(problem: Problem, device: str, budget: int) -> frozenset[int]:
    """The tasks that are on the device: in order, until the first that does not fit into the budget."""
    held: list[int] = []
    left = budget
    for task in range(len(problem.tasks)):
        if not isfinite(problem.seconds[device][task]):
            continue
        left -= problem.memory[device][task]
        if left < 0:
            break
        held.append(task)
    return frozenset(held)


def _point(bucket: GraphBucket, work: Costs, device: str, tasks: frozenset[int]) -> Point:
    runs = [(on, tuple(run)) for on, run in groupby(range(len(work.problem.tasks)), key=lambda task: task in tasks)]
    return Point(_seconds(work.problem, device, runs), _bytes(bucket, work, device, runs))


def _seconds(problem: Problem, device: str, runs: Sequence[tuple[bool, tuple[int, ...]]]) -> float:
    """Simulated with the costs that plans have, but for hops and hand-offs: within one session there are none.

    The runs follow one another. On the CPU they have one core or all of them, whichever is faster for the model.
    """
    chained: nx.DiGraph[int] = nx.DiGraph(problem.tasks)
    for (_, before), (_, after) in pairwise(runs):
        if not chained.has_edge(before[-1], after[0]):
            chained.add_edge(before[-1], after[0], bytes=0)
    free = dict.fromkeys(problem.devices, 0.0)
    session = replace(problem, tasks=chained, hop=free, handoff=free)
    times = []
    accelerator = Place(session.lanes_of(device)[0])
    for host in (place for place in session.kinds if session.device_at(place) == HOST):
        places = [(run, accelerator if on else host) for on, run in runs]
        stages = [StagePlan(run, place.lane, wide=place.wide) for run, place in places]
        times.append(simulate(session, stages).makespan)
    return min(times)


def _bytes(bucket: GraphBucket, work: Costs, device: str, runs: Sequence[tuple[bool, tuple[int, ...]]]) -> int:
    """As plans are counted, for one request in flight."""
    stages = [
        Stage(nodes=tuple(sorted(node for task in run for node in work.members[task])), lanes=(f"{device}/0",))
        for on, run in runs
        if on
    ]
    per_node = [0] * len(bucket.graph.nodes)
    for task, nodes in enumerate(work.members):
        per_node[nodes[0]] = work.problem.memory[device][task]
    loaded = sessions(bucket.graph, stages)
    found = gpu_bytes(bucket.graph, bucket.shapes, loaded, {device: per_node}, context=0)
    inner = inner_bytes(bucket.graph, bucket.shapes, loaded)
    # It is one session, in which one run after the other takes what the one before has given back.
    most = max((peak_bytes(bucket.graph, bucket.shapes, stage.nodes) for stage in stages), default=0)
    return bytes_for_one(found, bucket, stages) - inner + most


def bytes_for_one(taken: GpuBytes, bucket: GraphBucket, stages: Sequence[Stage]) -> int:
    """GPU bytes with one request in flight, without the context: a plan binds values for SLOTS of them."""
    inner = inner_bytes(bucket.graph, bucket.shapes, sessions(bucket.graph, stages))
    return taken.weights + (taken.activations - inner) // SLOTS + inner if taken.total else 0
