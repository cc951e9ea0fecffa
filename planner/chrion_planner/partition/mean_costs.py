"""What tasks and edges cost in the mean over all lanes, by which list schedulers put tasks in order."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import permutations
from math import inf

from chrion_api import HOST
from chrion_planner.partition.cost_tables import Offers
from chrion_planner.partition.problem import Problem


class MeanCosts:
    """Mean seconds of a problem, whatever places are on offer."""

    def __init__(self, problem: Problem) -> None:
        devices = [lane.device for lane in problem.lanes]
        pairs = list(permutations(devices, 2))
        links = [problem.links[pair] for pair in pairs if pair[0] != pair[1]]
        self._handoff = _mean(problem.handoff[target] for _, target in pairs)
        self._latency = sum(link.latency_seconds for link in links) / max(len(pairs), 1)
        self._per_byte = sum(1 / link.bytes_per_second for link in links) / max(len(pairs), 1)
        self.problem = problem
        self.answer = [
            _mean(problem.copy_seconds(device, HOST, nbytes) for device in devices) if nbytes else 0.0
            for nbytes in problem.host_out
        ]
        """For each task the copy of its part of the answer."""

    @cached_property
    def producers(self) -> list[list[tuple[int, float]]]:
        """For each task those that it reads from, each with the seconds from its end until its value is there."""
        return self._with_seconds(self.problem.producers)

    @cached_property
    def consumers(self) -> list[list[tuple[int, float]]]:
        """For each task those that read from it, with the same."""
        return self._with_seconds(self.problem.consumers)

    def _with_seconds(self, edges: Iterable[Iterable[tuple[int, int]]]) -> list[list[tuple[int, float]]]:
        handoff, latency, per_byte = self._handoff, self._latency, self._per_byte
        return [
            [(other, handoff + (latency + nbytes * per_byte if nbytes else 0.0)) for other, nbytes in each]
            for each in edges
        ]

    def tasks(self, offers: Offers) -> list[float]:
        """For each task its run time, which on a lane is the lesser of that on it alone and that on all of them."""
        by_device: dict[str, list[Sequence[float]]] = {}
        for place, times in offers.items():
            if place.wide or place.lane == self.problem.lanes_of(self.problem.device_at(place))[0]:
                by_device.setdefault(self.problem.device_at(place), []).append(times)
        least = {device: rows[0] if len(rows) == 1 else list(map(min, *rows)) for device, rows in by_device.items()}
        return list(map(_mean, zip(*(least[lane.device] for lane in self.problem.lanes), strict=True)))


def upward_ranks(means: MeanCosts, tasks: Sequence[float]) -> list[float]:
    """For each task the longest way from its start to the end, in seconds; `tasks` are those of `MeanCosts.tasks`."""
    ranks = [0.0] * len(tasks)
    for task in reversed(range(len(ranks))):
        ways = (edge + ranks[consumer] for consumer, edge in means.consumers[task])
        ranks[task] = tasks[task] + max(means.answer[task], max(ways, default=0.0))
    return ranks


def downward_ranks(means: MeanCosts, tasks: Sequence[float]) -> list[float]:
    """For each task the longest way to its start, in seconds; `tasks` are those of `MeanCosts.tasks`."""
    ranks = [0.0] * len(tasks)
    for task, read in enumerate(means.producers):
        ways = (ranks[producer] + tasks[producer] + edge for producer, edge in read)
        ranks[task] = max(ways, default=0.0)
    return ranks


def _mean(values: Iterable[float]) -> float:
    finite = [value for value in values if value < inf]
    return sum(finite) / len(finite) if finite else 0.0
