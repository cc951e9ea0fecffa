"""What every partitioning algorithm is given, and what it gives back.

A *task* is a set of graph nodes that never leave each other's side; tasks are numbered 0 … n-1 in a topological
order. An algorithm decides for each task the lane and the start; `stages.py` then groups neighbours of one lane
into stages, which are what really runs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf, isfinite

import networkx as nx

HOST = "cpu"
"""The device where requests arrive and answers leave."""


@dataclass(frozen=True)
class Lane:
    """One in-order queue of a device."""

    name: str
    device: str


@dataclass(frozen=True)
class Link:
    """The cost of a copy between two devices: latency plus bytes over bandwidth."""

    latency_seconds: float
    bytes_per_second: float

    def seconds(self, nbytes: int) -> float:
        """Seconds to copy `nbytes`."""
        return self.latency_seconds + nbytes / self.bytes_per_second


@dataclass(frozen=True)
class Problem:
    """Tasks with their costs, lanes to run them on, and the budgets to keep.

    `tasks`: DAG over 0 … n-1, every edge from a lower to a higher number; edge attribute `bytes` is what the consumer
    reads from the producer.
    `seconds[device][task]`: run time on one lane of the device; inf where the device cannot run it.
    `host_in[task]`, `host_out[task]`: bytes the task reads from the request or writes to the answer, on the host.
    Copies overlap with work: a task starts no sooner than its part of the request, copied from time zero on, has
    arrived, and the makespan counts the copy of the answer.
    `memory[device][task]`: bytes the task takes on the device for as long as the plan is loaded.
    `budget[device]`: bytes that may be taken in all; a device that is not named has no limit.
    `hop[device]`: fixed cost of each stage. `handoff[device]`: cost of starting a stage there when the last input
    came from another lane (of any device), on top of a copy.
    `links[source, target]`: copies between different devices, one entry for each ordered pair of them and the host
    that a value can pass between.
    Raises ValueError when the numbering, the lane names or the lengths are not as said here.
    """

    tasks: "nx.DiGraph[int]"
    seconds: Mapping[str, Sequence[float]]
    lanes: tuple[Lane, ...]
    host_in: Sequence[int]
    host_out: Sequence[int]
    hop: Mapping[str, float]
    handoff: Mapping[str, float]
    links: Mapping[tuple[str, str], Link]
    memory: Mapping[str, Sequence[int]] = field(default_factory=dict)
    budget: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tasks = len(self.tasks)
        if any(task not in self.tasks for task in range(tasks)):
            raise ValueError(f"tasks must be numbered 0 … {tasks - 1}")
        if any(producer >= consumer for producer, consumer in self.tasks.edges):
            raise ValueError("every edge must lead from a lower to a higher task number")
        if len({lane.name for lane in self.lanes}) != len(self.lanes):
            raise ValueError("lane names must differ")
        per_task = [self.host_in, self.host_out, *self.memory.values(), *(self.seconds[d] for d in self.devices)]
        if any(len(values) != tasks for values in per_task):
            raise ValueError(f"every list of costs must have one entry for each of the {tasks} tasks")

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """The devices of the lanes, in the lanes' order."""
        return tuple(dict.fromkeys(lane.device for lane in self.lanes))

    @cached_property
    def best_seconds(self) -> tuple[float, ...]:
        """For each task its run time on the device that is fastest for it; inf where no device can run it."""
        return tuple(min((self.seconds[d][task] for d in self.devices), default=inf) for task in range(len(self.tasks)))

    def lanes_of(self, device: str) -> tuple[int, ...]:
        """The device's lanes, as indices into `lanes`."""
        return tuple(index for index, lane in enumerate(self.lanes) if lane.device == device)

    def can_run(self, task: int, device: str) -> bool:
        """Whether the device can run the task at all."""
        return isfinite(self.seconds[device][task])

    def bytes_taken(self, device: str, tasks: Iterable[int]) -> int:
        """Bytes that the tasks take together on the device."""
        memory = self.memory.get(device)
        return sum(memory[task] for task in tasks) if memory is not None else 0

    def within_budget(self, device: str, tasks: Iterable[int]) -> bool:
        """Whether the tasks fit together into the device's budget."""
        limit = self.budget.get(device)
        return limit is None or self.bytes_taken(device, tasks) <= limit

    def copy_seconds(self, source: str, target: str, nbytes: int) -> float:
        """Seconds until a value on `source` is on `target`; zero on the same device."""
        if source == target or nbytes == 0:
            return 0.0
        return self.links[source, target].seconds(nbytes)

    def arrival_seconds(self, producer: Lane, consumer: Lane, nbytes: int) -> float:
        """Seconds from a producer's end until its value can be used on the consumer's lane."""
        if producer == consumer:
            return 0.0
        return self.handoff[consumer.device] + self.copy_seconds(producer.device, consumer.device, nbytes)


@dataclass(frozen=True)
class Schedule:
    """For each task its lane (an index into `Problem.lanes`), start and finish in seconds."""

    lane: tuple[int, ...]
    start: tuple[float, ...]
    finish: tuple[float, ...]
    makespan: float
    """When the last task has ended and the whole answer is on the host, in seconds."""
    optimal: bool = False
    """True when the algorithm proved that no schedule of this problem has a smaller makespan."""
    truncated: bool = False
    """True when the clock stopped the algorithm: another run may give another schedule."""


@dataclass(frozen=True)
class Budget:
    """What an algorithm may spend. Iterations and nodes decide, so that results repeat; the clock only aborts."""

    solver_nodes: int = 500
    seconds: float = 60.0


Algorithm = Callable[[Problem, Budget], Schedule | None]
"""Costs in, schedule out; None where the algorithm finds no schedule within the memory budget, or where the problem is
larger than it takes on."""


@dataclass(frozen=True)
class StagePlan:
    """Tasks that run as one stage on one lane, with the stage's simulated start and finish in seconds."""

    tasks: tuple[int, ...]
    lane: int
    start: float = 0.0
    finish: float = 0.0
