"""The times of tasks whose places and order are decided."""

from collections.abc import Sequence

from chrion_api import HOST
from chrion_planner.partition.problem import Place, Problem, Schedule


def ready_seconds(
    problem: Problem, task: int, lane: int, placed: Sequence[int | None], finish: Sequence[float]
) -> float:
    """When all that the task reads is there, were it to run on the lane or led by it; its producers must be placed."""
    lanes, consumer = problem.lanes, problem.lanes[lane]
    ready = problem.copy_seconds(HOST, consumer.device, problem.host_in[task])
    for producer, nbytes in problem.producers[task]:
        at = placed[producer]
        assert at is not None
        delay = 0.0 if at == lane else problem.arrival_seconds(lanes[at], consumer, nbytes)
        ready = max(ready, finish[producer] + delay)
    return ready


def answered(problem: Problem, lane: Sequence[int], finish: Sequence[float]) -> float:
    """When the last task has ended and the whole answer is on the host, in seconds."""
    copied = (
        end + problem.copy_seconds(problem.lanes[at].device, HOST, nbytes)
        for at, end, nbytes in zip(lane, finish, problem.host_out, strict=True)
    )
    return max(copied, default=0.0)


def timed(problem: Problem, order: Sequence[int], places: Sequence[Place], *, hops: bool = False) -> Schedule:
    """The schedule in which each lane runs its tasks in the given order, each as early as it can.

    `order` holds every task once, producers before consumers; `places` has a place for each task. With `hops` each is a
    stage, which takes its device's hop, too.
    """
    lane = [place.lane for place in places]
    free = [0.0] * len(problem.lanes)
    start, finish = [0.0] * len(lane), [0.0] * len(lane)
    for task in order:
        held = problem.lanes_at(places[task])
        ready = ready_seconds(problem, task, lane[task], lane, finish)
        start[task] = max(ready, *(free[at] for at in held))
        hop = problem.hop[problem.device_at(places[task])] if hops else 0.0
        finish[task] = start[task] + (hop + problem.times[places[task]][task])
        for at in held:
            free[at] = finish[task]
    return scheduled(problem, places, start, finish)


def scheduled(problem: Problem, places: Sequence[Place], start: Sequence[float], finish: Sequence[float]) -> Schedule:
    """The schedule with these places and times, one for each task."""
    lane = tuple(place.lane for place in places)
    wide = tuple(place.wide for place in places)
    makespan = answered(problem, lane, finish)
    return Schedule(lane, tuple(start), tuple(finish), makespan, wide=wide if any(wide) else ())
