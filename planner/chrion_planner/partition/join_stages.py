"""Stages that can be one for nothing: fewer sessions and hops, in time that grows with the graph and no faster."""

from collections.abc import Sequence

from chrion_planner.partition.problem import StagePlan
from chrion_planner.partition.simulate import StageDag

ROUNDS = 8
"""Rounds at most; each may let more stages be joined, and two or three find nearly all."""

FEW = 0.01
"""Where a round has joined less than this part of the stages, the next is not worth its time."""


def joined(dag: StageDag) -> StageDag:
    """The stages, which must be acyclic, neighbours of a place joined where that delays nothing.

    As their times are, a run of stages can be one if all that it reads has come when its first begins, and nothing that
    reads from it begins before its last has ended. Then every stage starts as early as before or, for the hops that are
    saved, earlier; and, what a joined one waits for coming before its first and what waits for it after its last in
    the order of starts, none waits for itself. Only stages that take no time need to be asked for that.
    """
    for _ in range(ROUNDS):
        before, runs = len(dag.nodes), _runs(dag)
        if len(runs) < before:
            dag = StageDag.of(dag.problem, [_as_one(dag, run) for run in runs])
        if before - len(runs) < FEW * before:
            break
    return dag


def _as_one(dag: StageDag, run: Sequence[int]) -> StagePlan:
    place = dag.nodes[run[0]].place
    return StagePlan(
        tuple(sorted(task for stage in run for task in dag.nodes[stage].tasks)), place.lane, wide=place.wide
    )


def _runs(dag: StageDag) -> list[list[int]]:
    """The stages in the runs that can be one, in the order of their first starts."""
    problem, nodes, start, finish = dag.problem, dag.nodes, dag.start, dag.finish
    order = dag.in_order()
    at = {stage: index for index, stage in enumerate(order)}
    readers = _readers(dag, order)
    runs: dict[int, list[int]] = {}  # by their first stage
    first_of: dict[int, int] = {}
    last: dict[int, int] = {}
    for stage in order:
        node = nodes[stage]
        before = {last.get(lane) for lane in node.held}
        first = before.pop() if len(before) == 1 else None
        # Copies of the request and values from elsewhere count from the run's first start on.
        if (
            first is not None
            and nodes[first].place == node.place
            and not any(problem.host_in[task] for task in node.tasks)
            and not any(problem.weight_group_of(task) is not None for task in (*node.tasks, nodes[first].tasks[0]))
        ):
            needs = (
                (runs[first_of[producer]][-1], dag.arrival(producer, stage, nbytes))
                for producer, nbytes in dag.reads_of[stage].items()
                if first_of[producer] != first
            )
            if all(at[end] < at[first] and finish[end] + delay <= start[first] for end, delay in needs) and all(
                at[stage] < index and finish[stage] + delay <= start[order[index]]
                for delay, index in readers.get(first, {}).items()
            ):
                runs[first].append(stage)
                first_of[stage] = first
                due = readers.setdefault(first, {})
                for delay, index in readers.pop(stage, {}).items():
                    due[delay] = min(due.get(delay, index), index)
                continue
        runs[stage] = [stage]
        first_of[stage] = stage
        for lane in node.held:
            last[lane] = stage
    return list(runs.values())


def _readers(dag: StageDag, order: Sequence[int]) -> dict[int, dict[float, int]]:
    """For each stage, by the seconds that its values take, the first in the order that reads from it elsewhere."""
    nodes = dag.nodes
    readers: dict[int, dict[float, int]] = {}
    for index, stage in enumerate(order):
        lane = nodes[stage].place.lane
        for producer, nbytes in dag.reads_of[stage].items():
            if nodes[producer].place.lane != lane:
                readers.setdefault(producer, {}).setdefault(dag.arrival(producer, stage, nbytes), index)
    return readers
