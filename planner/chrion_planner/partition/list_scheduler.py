"""A list scheduler for lanes of different speed, and the budget of each device's memory.

What differs from one list scheduler to the next is which task comes first and what a place is worth to it; everything
else, which HEFT, CPOP and PEFT share, is here.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from math import inf
from typing import NamedTuple

from chrion_planner.partition.cost_tables import CostTables, Offers
from chrion_planner.partition.problem import Place, Schedule
from chrion_planner.partition.task_times import scheduled

BLOCK = 32
"""Busy intervals of one lane that begin a new block, for which it is known how long a task its gaps do not hold."""

_ROUNDING = 1e-9
"""The part of a makespan by which sums of the same seconds in another order may differ, and far more."""


class Queue:
    """The busy intervals of one lane, in order of time; what follows without a gap is one interval.

    They are in blocks, so that gaps too short need not be looked at one by one. A gap counts with the interval that
    ends it, and it never grows.
    """

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.finishes: list[float] = []
        self.edges = [0.0]
        """For each block the time from which on intervals start in it."""
        self.too_long = [inf]
        """For each block seconds that no gap of it holds."""

    def slot(self, ready: float, seconds: float) -> tuple[int, float]:
        """Position and start of the first gap that holds `seconds` from `ready` on."""
        starts, finishes = self.starts, self.finishes
        position = bisect_right(starts, ready)
        start = max(ready, finishes[position - 1]) if position else ready
        if position == len(starts) or start + seconds <= starts[position]:
            return position, start
        block, first, whole = bisect_right(self.edges, starts[position]) - 1, position + 1, False
        while True:
            after = block + 1
            end = bisect_left(starts, self.edges[after], first) if after < len(self.edges) else len(starts)
            for at, finish in enumerate(finishes[first - 1 : end - 1], first):
                if finish + seconds <= starts[at]:
                    return at, finish
            if whole:
                self.too_long[block] = seconds
            if end - first > 2 * BLOCK:
                self.edges.insert(after, starts[(first + end) // 2])
                self.too_long.insert(after, seconds)
                after += 1
            while after < len(self.edges) and self.too_long[after] <= seconds:
                after += 1
            if after == len(self.edges):
                return len(starts), finishes[-1]
            block, first, whole = after, bisect_left(starts, self.edges[after], end), True

    def insert(self, position: int, start: float, finish: float) -> None:
        """Makes the time busy, which lies in the gap before the interval at the position."""
        starts, finishes = self.starts, self.finishes
        follows = position > 0 and finishes[position - 1] == start
        if position < len(starts) and starts[position] == finish:
            if follows:
                del starts[position], finishes[position - 1]
            else:
                starts[position] = start
        elif follows:
            finishes[position - 1] = finish
        else:
            if position == len(starts) and position % BLOCK == 0 and start > self.edges[-1]:
                self.edges.append(start)
                self.too_long.append(inf)
            starts.insert(position, start)
            finishes.insert(position, finish)
        if not follows:  # the gap before may have been part of one in another block
            block = bisect_right(self.edges, start) - 1
            if (finishes[position - 1] if position else 0.0) + self.too_long[block] <= start:
                self.too_long[block] = inf


def _common_slot(queues: Sequence[Queue], ready: float, seconds: float) -> tuple[list[int], float]:
    """Positions in the queues and start of the first gap of `seconds` that all of them have from `ready` on."""
    if len(queues) == 1:
        position, start = queues[0].slot(ready, seconds)
        return [position], start
    while True:
        slots = [queue.slot(ready, seconds) for queue in queues]
        ready = max(start for _, start in slots)
        if all(start == ready for _, start in slots):
            return [position for position, _ in slots], ready


class _Option(NamedTuple):
    """A place on offer."""

    place: Place
    device: int
    times: Sequence[float]
    rest: Sequence[float] | None
    queues: list[Queue]


def list_schedule(
    tables: CostTables,
    offers: Offers,
    priority: Sequence[float],
    rest: Offers | None = None,
    limit: float = inf,
) -> Schedule | None:
    """Of the tasks whose producers are placed the one of highest priority, at the place where it ends first, and so on.

    A task may begin in a gap between others. `rest[place][task]`, where given, is added to the end of the task there
    when places are compared. Ties go to the lower number, of task and of lane, and to one lane before all; tasks that
    share weights go where the first of them went. None where a task is left with no device that has room for it, and
    as soon as it is certain that the schedule takes `limit` seconds or more.
    """
    problem = tables.problem
    queues = [Queue() for _ in problem.lanes]
    options = [
        _Option(
            place,
            tables.device_of_lane[place.lane],
            times,
            None if rest is None else rest[place],
            [queues[at] for at in problem.lanes_at(place)],
        )
        for place, times in offers.items()
    ]
    count = len(problem.tasks)
    free = list(tables.free)
    late = limit * (1 + _ROUNDING)
    chosen: dict[int, Place] = {}
    home: dict[int, Place] = {}
    lane = [-1] * count
    start, finish = [0.0] * count, [0.0] * count
    waiting = [len(read) for read in problem.producers]
    ready = [(-priority[task], task) for task in range(count) if not waiting[task]]
    heapify(ready)
    while ready:
        task = heappop(ready)[1]
        group = problem.weight_group_of(task)
        there = home.get(group) if group is not None else None
        best = _best(tables, options, task, there, free, lane, finish)
        if best is None:
            return None
        option, start[task], positions = best
        finish[task] = start[task] + option.times[task]
        if finish[task] + tables.tails[task] >= late:
            return None
        chosen[task], lane[task] = option.place, option.place.lane
        if group is not None:
            home[group] = option.place
        for queue, position in zip(option.queues, positions, strict=True):
            queue.insert(position, start[task], finish[task])
        free[option.device] -= tables.need[option.device][task]
        for consumer, _ in problem.consumers[task]:
            waiting[consumer] -= 1
            if not waiting[consumer]:
                heappush(ready, (-priority[consumer], consumer))
    return scheduled(problem, [chosen[task] for task in range(count)], start, finish)


def _best(
    tables: CostTables,
    options: Sequence[_Option],
    task: int,
    there: Place | None,
    free: Sequence[float],
    placed: Sequence[int],
    finish: Sequence[float],
) -> tuple[_Option, float, list[int]] | None:
    """The option by which the task ends first, its start, and its positions in the queues; None where there is none.

    Only `there`, where given.
    """
    found: tuple[_Option, float, list[int]] | None = None
    least = inf
    come: dict[int, float] = {}
    for option in options:
        place, device, times, rest, queues = option
        seconds = times[task]
        if seconds == inf or tables.need[device][task] > free[device] or (there is not None and there != place):
            continue
        if place.lane not in come:
            come[place.lane] = _come(tables, task, place.lane, placed, finish)
        after, more = tables.answer[device][task], 0.0 if rest is None else rest[task]
        if found is not None and come[place.lane] + seconds + after + more >= least:
            continue
        positions, at = _common_slot(queues, come[place.lane], seconds)
        end = at + seconds + after + more
        if found is None or end < least:
            found, least = (option, at, positions), end
    return found


def _come(tables: CostTables, task: int, lane: int, placed: Sequence[int], finish: Sequence[float]) -> float:
    """When all that the task reads is there, were it to run on the lane or led by it; its producers must be placed."""
    device_of_lane = tables.device_of_lane
    device = device_of_lane[lane]
    ready = tables.request[device][task]
    for producer, delays in tables.reads[task]:
        at, end = placed[producer], finish[producer]
        if at != lane:
            end += delays[device_of_lane[at]][device]
        if end > ready:
            ready = end
    return ready
