"""HEFT, the list scheduler that places the task with the longest way to the end first.

Topcuoglu, Hariri, Wu: Performance-effective and low-complexity task scheduling for heterogeneous computing, IEEE
Transactions on Parallel and Distributed Systems 13(3), 2002. Where tasks are moldable a place with all lanes of a
device is one place more, as in M-HEFT: N'Takpé, Suter, Casanova: A comparison of scheduling approaches for
mixed-parallel applications on heterogeneous platforms, ISPDC 2007.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import permutations
from math import isfinite
from typing import Self

from chrion_planner.partition.listing import list_schedule
from chrion_planner.partition.moldable import molded
from chrion_planner.partition.problem import HOST, Budget, Problem, Schedule


def heft(problem: Problem, budget: Budget) -> Schedule | None:  # noqa: ARG001 - one signature for all algorithms
    """Each task, the one with the longest way to the end first, at the place where it ends first.

    A wide task that ends first may keep others from running beside it, so where `problem.wide` offers anything the
    best of several schedules is taken, each with other offers left (`moldable.py`). None where a task is left with no
    device that has room for it.
    """
    return molded(problem, lambda offered: list_schedule(offered, upward_ranks(offered)))


@dataclass(frozen=True)
class MeanCosts:
    """What tasks and edges cost in the mean over the lanes, in seconds; a task takes the lesser of one lane and all."""

    task: tuple[float, ...]
    answer: tuple[float, ...]
    """For each task the copy of its part of the answer."""
    handoff: float
    latency: float
    per_byte: float

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """The mean costs of the problem."""
        devices = [lane.device for lane in problem.lanes]
        offered = [
            [times for place, times in problem.times.items() if index in problem.lanes_at(place)]
            for index in range(len(devices))
        ]
        pairs = list(permutations(devices, 2))
        links = [problem.links[pair] for pair in pairs if pair[0] != pair[1]]
        return cls(
            task=tuple(
                _mean(min(times[task] for times in on_device) for on_device in offered)
                for task in range(len(problem.tasks))
            ),
            answer=tuple(
                _mean(problem.copy_seconds(device, HOST, nbytes) for device in devices) if nbytes else 0.0
                for nbytes in problem.host_out
            ),
            handoff=_mean(problem.handoff[target] for _, target in pairs),
            latency=sum(link.latency_seconds for link in links) / max(len(pairs), 1),
            per_byte=sum(1 / link.bytes_per_second for link in links) / max(len(pairs), 1),
        )

    def edge(self, nbytes: int) -> float:
        """Seconds from a producer's end until its value is there."""
        return self.handoff + (self.latency + nbytes * self.per_byte if nbytes else 0.0)


def upward_ranks(problem: Problem) -> list[float]:
    """For each task the longest way from its start to the end, in seconds, all costs being means over the lanes."""
    mean = MeanCosts.of(problem)
    ranks = [0.0] * len(problem.tasks)
    for task in reversed(range(len(ranks))):
        ways = (mean.edge(nbytes) + ranks[consumer] for consumer, nbytes in problem.consumers[task])
        ranks[task] = mean.task[task] + max(mean.answer[task], max(ways, default=0.0))
    return ranks


def _mean(values: Iterable[float]) -> float:
    finite = [value for value in values if isfinite(value)]
    return sum(finite) / len(finite) if finite else 0.0
