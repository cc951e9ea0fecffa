"""HEFT, a list scheduler for lanes of different speed, and the budget of each device's memory.

Topcuoglu, Hariri, Wu: Performance-effective and low-complexity task scheduling for heterogeneous computing, IEEE
Transactions on Parallel and Distributed Systems 13(3), 2002. Where tasks are moldable a place with all lanes of a
device is one place more, as in M-HEFT: N'Takpé, Suter, Casanova: A comparison of scheduling approaches for
mixed-parallel applications on heterogeneous platforms, ISPDC 2007.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import permutations
from math import inf, isfinite

from chrion_planner.partition.moldable import molded
from chrion_planner.partition.problem import HOST, Budget, Place, Problem, Schedule
from chrion_planner.partition.timing import ready_seconds, scheduled


class _Queue:
    """The busy intervals of one lane, in order of time."""

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.finishes: list[float] = []

    def slot(self, ready: float, seconds: float) -> tuple[int, float]:
        """Position and start of the first gap that holds `seconds` from `ready` on."""
        position = bisect_right(self.starts, ready)
        start = max(ready, self.finishes[position - 1]) if position else ready
        while position < len(self.starts) and start + seconds > self.starts[position]:
            start = max(start, self.finishes[position])
            position += 1
        return position, start

    def insert(self, position: int, start: float, finish: float) -> None:
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


def heft(problem: Problem, budget: Budget) -> Schedule | None:  # noqa: ARG001 - one signature for all algorithms
    """Each task, the one with the longest way to the end first, at the place where it ends first.

    Ties go to the lower number, of task and of lane, and to one lane before all. A wide task that ends first may keep
    others from running beside it, so where `problem.wide` offers anything the best of several schedules is taken, each
    with other offers left (`moldable.py`). None where a task is left with no device that has room for it.
    """
    return molded(problem, _list_schedule)


def _list_schedule(problem: Problem) -> Schedule | None:
    ranks = upward_ranks(problem)
    room = _Room(problem)
    queues = [_Queue() for _ in problem.lanes]
    places = [(place, times, [queues[at] for at in problem.lanes_at(place)]) for place, times in problem.times.items()]
    chosen: dict[int, Place] = {}
    home: dict[int | None, Place] = {}
    lane: list[int | None] = [None] * len(ranks)
    start, finish = [0.0] * len(ranks), [0.0] * len(ranks)
    for task in sorted(range(len(ranks)), key=lambda task: (-ranks[task], task)):
        kin = problem.kin_of(task)
        best: tuple[float, Place, float] | None = None
        gap: tuple[list[_Queue], list[int]] = [], []
        for place, times, held in places:
            device, seconds = problem.device_at(place), times[task]
            if not (isfinite(seconds) and room.holds(task, device) and home.get(kin, place) == place):
                continue
            positions, at = _common_slot(held, ready_seconds(problem, task, place.lane, lane, finish), seconds)
            end = at + seconds + problem.copy_seconds(device, HOST, problem.host_out[task])
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
    return scheduled(problem, [chosen[task] for task in range(len(ranks))], start, finish)


def upward_ranks(problem: Problem) -> list[float]:
    """For each task the longest way from its start to the end, in seconds, all costs being means over the lanes.

    A task takes the lesser of its times on the lane and on all lanes of the lane's device.
    """
    devices = [lane.device for lane in problem.lanes]
    offered = [
        [times for place, times in problem.times.items() if index in problem.lanes_at(place)]
        for index in range(len(devices))
    ]
    pairs = list(permutations(devices, 2))
    handoff = _mean(problem.handoff[target] for _, target in pairs)
    links = [problem.links[pair] for pair in pairs if pair[0] != pair[1]]
    latency = sum(link.latency_seconds for link in links) / max(len(pairs), 1)
    per_byte = sum(1 / link.bytes_per_second for link in links) / max(len(pairs), 1)

    ranks = [0.0] * len(problem.tasks)
    for task in reversed(range(len(ranks))):
        nbytes = problem.host_out[task]
        rest = _mean(problem.copy_seconds(device, HOST, nbytes) for device in devices)
        for consumer, edge in problem.tasks.succ[task].items():
            copy = latency + edge["bytes"] * per_byte if edge["bytes"] else 0.0
            rest = max(rest, handoff + copy + ranks[consumer])
        ranks[task] = _mean(min(times[task] for times in on_device) for on_device in offered) + rest
    return ranks


def _mean(values: Iterable[float]) -> float:
    finite = [value for value in values if isfinite(value)]
    return sum(finite) / len(finite) if finite else 0.0
