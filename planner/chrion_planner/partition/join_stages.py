"""Stages that can be one for nothing: fewer sessions and hops, in time that grows with the graph and no faster."""

from collections.abc import Sequence

from chrion_planner.partition.problem import Problem, StagePlan
from chrion_planner.partition.simulate import Simulation, reads, simulate

ROUNDS = 8
"""Rounds at most; each may let more stages be joined, and two or three find nearly all."""


def joined(problem: Problem, simulation: Simulation) -> Simulation:
    """The simulated stages, neighbours of a place joined where that delays nothing.

    As their times are, a run of stages can be one if all that it reads has come when its first begins, and nothing that
    reads from it begins before its last has ended. Then every stage starts as early as before or, for the hops that are
    saved, earlier; and, each stage that a joined one waits for having ended before it, none waits for itself.
    """
    for _ in range(ROUNDS):
        runs = _runs(problem, simulation.stages)
        if len(runs) == len(simulation.stages):
            break
        simulation = simulate(problem, runs)
    return simulation


def _runs(problem: Problem, stages: Sequence[StagePlan]) -> list[StagePlan]:
    """The stages with the runs that can be one joined, in the order of their first starts."""
    stage_of = [-1] * len(problem.tasks)
    for index, stage in enumerate(stages):
        for task in stage.tasks:
            stage_of[task] = index
    read = [reads(problem, stage.tasks, stage_of, index) for index, stage in enumerate(stages)]
    feeds: list[list[tuple[int, float]]] = [[] for _ in stages]
    needs: list[list[tuple[int, float]]] = [[] for _ in stages]
    for consumer, values in enumerate(read):
        target = problem.lanes[stages[consumer].lane]
        for producer, nbytes in values.items():
            delay = problem.arrival_seconds(problem.lanes[stages[producer].lane], target, nbytes)
            feeds[producer].append((consumer, delay))
            needs[consumer].append((producer, delay))
    shares = [any(problem.weight_group_of(task) is not None for task in stage.tasks) for stage in stages]
    run_of = list(range(len(stages)))
    runs: dict[int, list[int]] = {}
    last: dict[int, int] = {}
    for index, stage in enumerate(stages):
        held = problem.lanes_at(stage.place)
        before = {last.get(lane) for lane in held}
        run = before.pop() if len(before) == 1 else None
        if run is not None and not shares[index] and not shares[runs[run][0]]:
            first = stages[run]
            # Copies of the request and values from elsewhere count from the run's first start on.
            ready = stage.place == first.place and not any(problem.host_in[task] for task in stage.tasks)
            ready = ready and all(
                run_of[producer] == run or stages[runs[run_of[producer]][-1]].finish + delay <= first.start
                for producer, delay in needs[index]
            )
            waits = ready and all(
                stages[consumer].start >= stage.finish + delay
                for member in runs[run]
                for consumer, delay in feeds[member]
                if consumer != index and run_of[consumer] != run and stages[consumer].lane != stage.lane
            )
            if waits:
                runs[run].append(index)
                run_of[index] = run
                continue
        runs[index] = [index]
        for lane in held:
            last[lane] = index
    return [
        StagePlan(
            tuple(sorted(task for member in members for task in stages[member].tasks)),
            stages[first].lane,
            wide=stages[first].wide,
        )
        for first, members in runs.items()
    ]
