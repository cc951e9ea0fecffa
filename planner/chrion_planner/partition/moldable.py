"""Which tasks are worth all lanes of a device: the offers that list scheduling should see, and those it should not.

A list scheduler gives a task the place where it ends first. All lanes at once end a task soonest even where its
siblings would have kept the other lanes busy: two of 500 µs end after 500 µs side by side, and after 600 µs one after
the other at 300 µs each. So an offer is kept only where the lanes that it takes would have idled.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from math import inf

from chrion_planner.partition.problem import Place, Problem, Schedule

ROUNDS = 4
"""Schedules made after the first two, each with the offers that the one before makes look worth taking."""


def narrow(problem: Problem) -> Problem:
    """The problem with no wide time offered."""
    return replace(problem, wide={}) if problem.wide else problem


def variants(problem: Problem, schedules: Sequence[Schedule]) -> Iterator[Problem]:
    """The problem with other offers each time.

    `schedules` holds the schedule of `narrow(problem)` and, before the next one is asked for, that of each variant.
    """
    if not any(place.wide for place in problem.times):
        return
    yield problem
    offered = problem
    latest = 0
    for _ in range(ROUNDS):
        worth = _worth(problem, schedules[latest])
        if worth == offered.wide:
            return
        offered = replace(problem, wide=worth)
        yield offered
        latest = len(schedules) - 1


def _worth(problem: Problem, schedule: Schedule) -> dict[str, tuple[float, ...]]:
    """The wide times of tasks for which it takes no more of the lanes than they idle beside the task as scheduled.

    What is wide already, or on another device, keeps its offer.
    """
    found = {}
    places = schedule.places
    for place in problem.times:
        if not place.wide:
            continue
        lanes, times = problem.lanes_at(place), list(problem.times[place])
        busy = _Busy(schedule, lanes, problem)
        for task in range(len(times)):
            if places[task] in map(Place, lanes):
                start, finish = schedule.start[task], schedule.finish[task]
                free = len(lanes) * (finish - start) - busy.between(start, finish)
                if len(lanes) * times[task] - (finish - start) >= free:
                    times[task] = inf
        found[problem.device_at(place)] = tuple(times)
    return found
