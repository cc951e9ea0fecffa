"""A list scheduler for lanes of different speed, and the budget of each device's memory.

What differs from one list scheduler to the next is which task comes first and what a place is worth to it; everything
else, which HEFT, CPOP and PEFT share, is here.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from math import inf, isfinite

from chrion_planner.partition.problem import HOST, Place, Problem, Schedule
from chrion_planner.partition.timing import ready_seconds, scheduled

GAPS = 512
"""Gaps of one lane that a task is tried in before it goes to the lane's end: the others would take quadratic time."""


class _Queue:
    """The busy intervals of one lane, in order of time; what follows without a gap is one interval."""

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.finishes: list[float] = []

    def slot(self, ready: float, seconds: float) -> tuple[int, float]:
        """Position and start of the first gap that holds `seconds` from `ready` on."""
        position = bisect_right(self.starts, ready)
        start = max(ready, self.finishes[position - 1]) if position else ready
        last = min(len(self.starts), position + GAPS)
        while position < last and start + seconds > self.starts[position]:
            start = max(start, self.finishes[position])
            position += 1
        if position == last < len(self.starts):
            return len(self.starts), self.finishes[-1]
        return position, start

    def insert(self, position: int, start: float, finish: float) -> None:
        follows = position > 0 and self.finishes[position - 1] == start
        if position < len(self.starts) and self.starts[position] == finish:
            if follows:
                del self.starts[position], self.finishes[position - 1]
            else:
                self.starts[position] = start
        elif follows:
            self.finishes[position - 1] = finish
        else:
            self.starts.insert(position, start)
            self.finishes.insert(position, finish)


def _common_slot(queues: Sequence[_Queue], ready: float, seconds: float) -> tuple[list[int], float]:
    """Positions in the queues and start of the first gap of `seconds` that all of them have from `ready` on."""
    while True:
        slots = [queue.slot(ready, seconds) for queue in queues]
        ready = max(start for _, start in slots)
        if all(start == ready for _, start in slots):
            return [position for position, _ in slots], ready


class _Room:
    """Bytes still free on each device; what only one device can run has its place there from the beginning."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.reserved: dict[int, str] = {}
        for task in range(len(problem.tasks)):
            able = [device for device in problem.devices if problem.can_run(task, device)]
            if len(able) == 1:
                self.reserved[task] = able[0]
        self.free = {device: float(problem.budget.get(device, inf)) for device in problem.devices}
        for task, device in self.reserved.items():
            self.free[device] -= problem.bytes_taken(device, (task,))

    def holds(self, task: int, device: str) -> bool:
        need = 0 if task in self.reserved else self.problem.bytes_taken(device, (task,))
        return self.problem.can_run(task, device) and need <= self.free[device]

    def take(self, task: int, device: str) -> None:
        if task not in self.reserved:
            self.free[device] -= self.problem.bytes_taken(device, (task,))


def list_schedule(
    problem: Problem, priority: Sequence[float], rest: Callable[[int, Place], float] | None = None
) -> Schedule | None:
    """Of the tasks whose producers are placed the one of highest priority, at the place where it ends first, and so on.

    A task may begin in a gap between others. `rest(task, place)`, where given, is added to the end of the task there
    when places are compared. Ties go to the lower number, of task and of lane, and to one lane before all; kin of a
    task go where it went. None where a task is left with no device that has room for it.
    """
    room = _Room(problem)
    queues = [_Queue() for _ in problem.lanes]
    places = [(place, times, [queues[at] for at in problem.lanes_at(place)]) for place, times in problem.times.items()]
    count = len(problem.tasks)
    chosen: dict[int, Place] = {}
    home: dict[int | None, Place] = {}
    lane: list[int | None] = [None] * count
    start, finish = [0.0] * count, [0.0] * count
    waiting = [len(read) for read in problem.producers]
    ready = [(-priority[task], task) for task in range(count) if not waiting[task]]
    heapify(ready)
    while ready:
        task = heappop(ready)[1]
        kin = problem.kin_of(task)
        best: tuple[float, Place, float] | None = None
        gap: tuple[list[_Queue], list[int]] = [], []
        for place, times, held in places:
            device, seconds = problem.device_at(place), times[task]
            if not (isfinite(seconds) and room.holds(task, device) and home.get(kin, place) == place):
                continue
            positions, at = _common_slot(held, ready_seconds(problem, task, place.lane, lane, finish), seconds)
            end = at + seconds + problem.copy_seconds(device, HOST, problem.host_out[task])
            if rest is not None:
                end += rest(task, place)
            if best is None or end < best[0]:
                best, gap = (end, place, at), (held, positions)
        if best is None:
            return None
        _, place, at = best
        chosen[task], lane[task] = place, place.lane
        if kin is not None:
            home[kin] = place
        start[task], finish[task] = at, at + problem.times[place][task]
        for queue, position in zip(*gap, strict=True):
            queue.insert(position, at, finish[task])
        room.take(task, problem.device_at(place))
        for consumer, _ in problem.consumers[task]:
            waiting[consumer] -= 1
            if not waiting[consumer]:
                heappush(ready, (-priority[consumer], consumer))
    return scheduled(problem, [chosen[task] for task in range(count)], start, finish)
