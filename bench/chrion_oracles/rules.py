"""The one check that every schedule and every set of stages must pass, whichever algorithm made it."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import isclose, isfinite

import networkx as nx

from chrion_api import HOST
from chrion_planner.errors import ScheduleError
from chrion_planner.partition.problem import Place, Problem, Schedule, StagePlan
from chrion_planner.partition.simulate import reads

RELATIVE, ABSOLUTE = 1e-9, 1e-12
"""Rounding that is forgiven, as a part of the later time and in seconds."""


def validate_schedule(problem: Problem, schedule: Schedule) -> None:
    """Raises ScheduleError, which names the rule, where the schedule breaks one."""
    tasks = range(len(problem.tasks))
    if not len(schedule.lane) == len(schedule.start) == len(schedule.finish) == len(tasks):
        raise ScheduleError("one place for each task", f"there are {len(tasks)} tasks, {len(schedule.lane)} lanes")
    if len(schedule.wide) not in (0, len(tasks)):
        raise ScheduleError("one place for each task", f"{len(schedule.wide)} of {len(tasks)} tasks are wide or not")
    places = schedule.places
    _placements(problem, enumerate(places))
    _sharers_together(problem, enumerate(places))
    for task in tasks:
        lane, start, finish = problem.lanes[schedule.lane[task]], schedule.start[task], schedule.finish[task]
        _duration(f"task {task}", start, finish, problem.seconds_at(places[task], (task,)))
        _not_before(f"task {task}", start, "request", problem.copy_seconds(HOST, lane.device, problem.host_in[task]))
        for producer, edge in problem.tasks.pred[task].items():
            delay = problem.arrival_seconds(problem.lanes[schedule.lane[producer]], lane, edge["bytes"])
            _not_before(f"task {task}", start, f"task {producer}", schedule.finish[producer] + delay)
    held = [problem.lanes_at(place) for place in places]
    for lane_index in range(len(problem.lanes)):
        mine = [(schedule.start[t], schedule.finish[t], f"task {t}") for t in tasks if lane_index in held[t]]
        _no_overlap(sorted(mine))
    ends = (
        schedule.finish[task] + problem.copy_seconds(problem.lanes[lane].device, HOST, problem.host_out[task])
        for task, lane in enumerate(schedule.lane)
    )
    _makespan(schedule.makespan, max(ends, default=0.0))


def validate_stages(problem: Problem, stages: Sequence[StagePlan], makespan: float | None = None) -> None:
    """Raises ScheduleError, which names the rule, where the stages with their times break one.

    A lane runs the stages that hold it in the order of `stages`. `makespan`, where given, must be when the whole
    answer is there.
    """
    _tasks_once(problem, stages)
    _placements(problem, ((task, stage.place) for stage in stages for task in stage.tasks))
    _sharers_together(problem, ((task, stage.place) for stage in stages for task in stage.tasks))
    for index, stage in enumerate(stages):
        if len(stage.tasks) > 1 and any(problem.weight_group_of(task) is not None for task in stage.tasks):
            raise ScheduleError(
                "a stage for each task that shares weights", f"stage {index} holds {len(stage.tasks)} tasks"
            )
    stage_of = {task: index for index, stage in enumerate(stages) for task in stage.tasks}
    _acyclic(problem, stages, stage_of)
    ends = []
    for index, stage in enumerate(stages):
        device, name = problem.lanes[stage.lane].device, f"stage {index}"
        work = problem.hop[device] + problem.seconds_at(stage.place, stage.tasks)
        crowded = problem.hop[device] + problem.crowded_seconds_at(stage.place, stage.tasks)
        _duration(name, stage.start, min(stage.finish, stage.start + work), work)
        _duration(name, stage.start, max(stage.finish, stage.start + crowded), crowded)
        request = sum(problem.host_in[task] for task in stage.tasks)
        _not_before(name, stage.start, "request", problem.copy_seconds(HOST, device, request))
        for producer, nbytes in reads(problem, stage.tasks, stage_of, index).items():
            source, target = problem.lanes[stages[producer].lane], problem.lanes[stage.lane]
            arrival = stages[producer].finish + problem.arrival_seconds(source, target, nbytes)
            _not_before(name, stage.start, f"stage {producer}", arrival)
        answer = sum(problem.host_out[task] for task in stage.tasks)
        ends.append(stage.finish + problem.copy_seconds(device, HOST, answer))
    for lane_index in range(len(problem.lanes)):
        _no_overlap([(stages[i].start, stages[i].finish, f"stage {i}") for i in _on(problem, stages, lane_index)])
    if makespan is not None:
        _makespan(makespan, max(ends, default=0.0))


def _tasks_once(problem: Problem, stages: Sequence[StagePlan]) -> None:
    if any(not stage.tasks for stage in stages):
        raise ScheduleError("one place for each task", "a stage has no task")
    if sorted(task for stage in stages for task in stage.tasks) != list(range(len(problem.tasks))):
        raise ScheduleError("one place for each task", "a task is in no stage, in two, or does not exist")


def _on(problem: Problem, stages: Sequence[StagePlan], lane: int) -> list[int]:
    """The stages that hold the lane, in their order."""
    return [index for index, stage in enumerate(stages) if lane in problem.lanes_at(stage.place)]


def _placements(problem: Problem, places: Iterable[tuple[int, Place]]) -> None:
    held: dict[str, list[int]] = {device: [] for device in problem.devices}
    for task, place in places:
        if not 0 <= place.lane < len(problem.lanes):
            raise ScheduleError("known lanes", f"task {task} is on lane {place.lane} of {len(problem.lanes)}")
        device = problem.device_at(place)
        if place.lane != problem.lanes_at(place)[0]:
            raise ScheduleError("leading lanes", f"task {task} is wide on lane {place.lane}, not the first of {device}")
        if not isfinite(problem.seconds_at(place, (task,))):
            where = f"all lanes of {device} together" if place.wide else device
            raise ScheduleError("possible placements", f"{where} cannot run task {task}")
        held[device].append(task)
    for device, tasks in held.items():
        if not problem.within_budget(device, tasks):
            taken = problem.bytes_taken(device, tasks)
            raise ScheduleError("memory budgets", f"{device} holds {taken} bytes of {problem.budget[device]}")


def _sharers_together(problem: Problem, places: Iterable[tuple[int, Place]]) -> None:
    home: dict[int, Place] = {}
    for task, place in places:
        group = problem.weight_group_of(task)
        if group is not None and home.setdefault(group, place) != place:
            raise ScheduleError("shared weights at one place", f"task {task} is at {place}, its group at {home[group]}")


def _acyclic(problem: Problem, stages: Sequence[StagePlan], stage_of: dict[int, int]) -> None:
    for index, stage in enumerate(stages):
        at = {task: position for position, task in enumerate(stage.tasks)}
        for task in stage.tasks:
            if any(at.get(producer, -1) > at[task] for producer in problem.tasks.pred[task]):
                raise ScheduleError("task order", f"stage {index} runs task {task} before what it reads")
    dag: nx.DiGraph[int] = nx.DiGraph()
    dag.add_nodes_from(range(len(stages)))
    dag.add_edges_from((stage_of[p], stage_of[c]) for p, c in problem.tasks.edges if stage_of[p] != stage_of[c])
    if not nx.is_directed_acyclic_graph(dag):
        raise ScheduleError("acyclic stages", "stages wait for one another in a circle")
    for lane in range(len(problem.lanes)):
        nx.add_path(dag, _on(problem, stages, lane))
    if not nx.is_directed_acyclic_graph(dag):
        raise ScheduleError("lane order", "a lane runs a stage before one that it waits for")


def _duration(name: str, start: float, finish: float, seconds: float) -> None:
    if not isclose(finish, start + seconds, rel_tol=RELATIVE, abs_tol=ABSOLUTE):
        raise ScheduleError("durations", f"{name} takes {finish - start} s and not {seconds} s")


def _not_before(name: str, start: float, source: str, arrival: float) -> None:
    if start < arrival and not isclose(start, arrival, rel_tol=RELATIVE, abs_tol=ABSOLUTE):
        raise ScheduleError("arrival", f"{name} starts at {start} s but reads from {source} at {arrival} s")


def _no_overlap(intervals: Sequence[tuple[float, float, str]]) -> None:
    for (_, finish, first), (start, _, second) in pairwise(intervals):
        if start < finish and not isclose(start, finish, rel_tol=RELATIVE, abs_tol=ABSOLUTE):
            raise ScheduleError("no overlap on a lane", f"{second} starts at {start} s, {first} ends at {finish} s")


def _makespan(said: float, true: float) -> None:
    if not isclose(said, true, rel_tol=RELATIVE, abs_tol=ABSOLUTE):
        raise ScheduleError("makespan", f"it is {true} s and not {said} s")
