"""Predict when the stages of a plan really run: caches and lanes that crowd each other, on top of the simulator.

The algorithms see each task at what it costs alone, with its weights in the caches. What is known only once all
stages are is added here: sessions that together hold more weights than the caches do, and lanes that work at once.
"""

from collections.abc import Sequence
from dataclasses import replace

from chrion_api import HOST
from chrion_planner.costs import Costs
from chrion_planner.partition import Problem, Simulation, StagePlan, simulate


def predicted(work: Costs, stages: Sequence[StagePlan]) -> Simulation:
    """The stages with the times that they will take, and the makespan, in seconds.

    One stage alone costs what the simulator says. Raises ScheduleError where the stages cannot run in this order.
    """
    if len(stages) == 1:
        return simulate(work.problem, stages)
    uncached = _with(work.problem, stages, _uncached(work, stages))
    first = simulate(uncached, stages)
    crowded = simulate(_with(uncached, first.stages, _crowding(work, first.stages)), first.stages)
    return Simulation(crowded.stages, crowded.makespan + work.host.launch_seconds)


def _uncached(work: Costs, stages: Sequence[StagePlan]) -> list[dict[int, float]]:
    """For each stage what its tasks take longer as weights are read again: the first task that reads them waits.

    Stages that are alike share a session, and so its weights. The whole graph in one session, which the tasks' seconds
    are scaled to, has its weights once and reads them as well.
    """
    first_readers: list[dict[object, tuple[int, int]]] = []
    sessions: dict[object, int] = {}
    for stage in stages:
        readers: dict[object, tuple[int, int]] = {}
        if work.problem.device_at(stage.place) == HOST:
            for task in stage.tasks:
                names, nbytes = work.weights[task]
                readers.setdefault(names, (task, nbytes))
            key = tuple(work.weights[task][0] for task in stage.tasks)
            sessions[key] = sum(nbytes for _, nbytes in readers.values())
        first_readers.append(readers)
    once = sum(dict(work.weights).values())
    per_byte = max(
        0.0,
        work.host.uncached_seconds_per_byte(sum(sessions.values())) - work.host.uncached_seconds_per_byte(once),
    )
    return [{task: per_byte * nbytes for task, nbytes in readers.values()} for readers in first_readers]


def _crowding(work: Costs, stages: Sequence[StagePlan]) -> list[dict[int, float]]:
    """For each stage what its tasks take longer for as long as another lane of the host works beside it."""
    narrow = [
        (stage.start, stage.finish, stage.lane)
        for stage in stages
        if not stage.wide and work.problem.device_at(stage.place) == HOST
    ]
    return [
        {task: _overlap(stage, narrow) * work.crowding[task] for task in stage.tasks}
        if not stage.wide and work.problem.device_at(stage.place) == HOST
        else {}
        for stage in stages
    ]


def _overlap(stage: StagePlan, others: Sequence[tuple[float, float, int]]) -> float:
    """The part of the stage's time during which others run on other lanes, from 0 to 1."""
    shared = sum(
        max(0.0, min(finish, stage.finish) - max(start, stage.start))
        for start, finish, lane in others
        if lane != stage.lane
    )
    return min(1.0, shared / (stage.finish - stage.start)) if stage.finish > stage.start else 0.0


def _with(problem: Problem, stages: Sequence[StagePlan], extra: Sequence[dict[int, float]]) -> Problem:
    """The problem with extra seconds for tasks on the host, given stage by stage."""
    seconds = list(problem.seconds[HOST])
    wide = list(problem.wide.get(HOST, ()))
    for stage, more in zip(stages, extra, strict=True):
        for task in stage.tasks:
            seconds[task] += more.get(task, 0.0)
            if wide:
                wide[task] += more.get(task, 0.0)
    return replace(
        problem,
        seconds={**problem.seconds, HOST: seconds},
        wide={**problem.wide, HOST: wide} if wide else problem.wide,
    )
