"""What every partitioning algorithm is given, and what it gives back.

A *task* is a set of graph nodes that never leave each other's side; tasks are numbered 0 … n-1 in a topological
order. An algorithm decides for each task the place and the start; `stages.py` then groups neighbours of one place
into stages, which are what really runs. Tasks are moldable: a *place* is one lane, or all lanes of a device at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from math import inf, isfinite
from typing import NamedTuple

import networkx as nx


@dataclass(frozen=True)
class Lane:
    """One in-order queue of a device."""

    name: str
    device: str


class Place(NamedTuple):
    """Where a task or a stage runs: on one lane, or wide, on all lanes of the lane's device at once."""

    lane: int
    """An index into `Problem.lanes`; of a wide place the device's first lane, which leads the others."""
    wide: bool = False


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
    came from another lane (of any device), on top of a copy. A wide place counts as its leading lane here.
    `links[source, target]`: copies between different devices, one entry for each ordered pair of them and the host
    that a value can pass between.
    `wide[device][task]`: run time when the task holds all lanes of the device at once; inf where that is not offered,
    as it must be where the device cannot run the task. A device that is not named or has one lane offers none.
    `crowded[device][task]`: run time on one lane while every other lane of the device is busy, no less than that alone;
    with some of them busy it lies evenly between. The simulator knows it, schedules of tasks do not. A device that is
    not named has lanes that do not slow each other.
    `weight_groups[task]`: tasks of one group read the same weights. They run at one place and each is a stage of its
    own, so that all of them are one session; None, or no groups at all, leaves a task free.
    Raises ValueError when the numbering, the lane names, the lengths or the wide times are not as said here.
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
    wide: Mapping[str, Sequence[float]] = field(default_factory=dict)
    crowded: Mapping[str, Sequence[float]] = field(default_factory=dict)
    weight_groups: Sequence[int | None] = ()

    def __post_init__(self) -> None:
        tasks = len(self.tasks)
        if any(task not in self.tasks for task in range(tasks)):
            raise ValueError(f"tasks must be numbered 0 … {tasks - 1}")
        if any(producer >= consumer for producer, consumer in self.tasks.edges):
            raise ValueError("every edge must lead from a lower to a higher task number")
        if len({lane.name for lane in self.lanes}) != len(self.lanes):
            raise ValueError("lane names must differ")
        per_task = [self.host_in, self.host_out, *self.memory.values(), *self.wide.values(), *self.crowded.values()]
        per_task += [self.seconds[device] for device in self.devices]
        if any(len(values) != tasks for values in per_task) or len(self.weight_groups) not in (0, tasks):
            raise ValueError(f"every list of costs must have one entry for each of the {tasks} tasks")
        for device in self.devices:
            for one, wide in zip(self.seconds[device], self.wide.get(device, ()), strict=False):
                if isfinite(wide) and not isfinite(one):
                    raise ValueError(f"{device} offers all its lanes to a task that it cannot run on one")

    @cached_property
    def producers(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """For each task those it reads from, each with the bytes: `tasks.pred`, many times as fast to walk."""
        pred = self.tasks.pred
        return tuple(
            tuple((other, edge["bytes"]) for other, edge in pred[task].items()) for task in range(len(self.tasks))
        )

    @cached_property
    def consumers(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """For each task those that read from it, each with the bytes."""
        succ = self.tasks.succ
        return tuple(
            tuple((other, edge["bytes"]) for other, edge in succ[task].items()) for task in range(len(self.tasks))
        )

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """The devices of the lanes, in the lanes' order."""
        return tuple(dict.fromkeys(lane.device for lane in self.lanes))

    @cached_property
    def contended(self) -> tuple[str, ...]:
        """The devices with several lanes that slow each other."""
        return tuple(device for device in self.crowded if len(self.lanes_of(device)) > 1)

    @cached_property
    def times(self) -> Mapping[Place, Sequence[float]]:
        """For every place the run time of each task there: first every lane, then what is wide."""
        times = {Place(index): self.seconds[lane.device] for index, lane in enumerate(self.lanes)}
        for device in self.devices:
            lanes = self.lanes_of(device)
            if len(lanes) > 1 and any(isfinite(seconds) for seconds in self.wide.get(device, ())):
                times[Place(lanes[0], wide=True)] = self.wide[device]
        return times

    @cached_property
    def kinds(self) -> tuple[Place, ...]:
        """The places whose times differ: one lane of each device, and what is wide."""
        return tuple(
            place for place in self.times if place.wide or place.lane == self.lanes_of(self.device_at(place))[0]
        )

    @cached_property
    def best_seconds(self) -> tuple[float, ...]:
        """For each task its run time at the place that is fastest for it; inf where no device can run it."""
        times = [self.times[place] for place in self.kinds]
        return tuple(min((seconds[task] for seconds in times), default=inf) for task in range(len(self.tasks)))

    @cached_property
    def _lanes_of(self) -> Mapping[str, tuple[int, ...]]:
        return {
            device: tuple(index for index, lane in enumerate(self.lanes) if lane.device == device)
            for device in self.devices
        }

    def weight_group_of(self, task: int) -> int | None:
        """The number of the tasks that read the same weights as this one; None where it is free."""
        return self.weight_groups[task] if self.weight_groups else None

    def lanes_of(self, device: str) -> tuple[int, ...]:
        """The device's lanes, as indices into `lanes`."""
        return self._lanes_of.get(device, ())

    def lanes_at(self, place: Place) -> tuple[int, ...]:
        """The lanes that whatever runs at the place holds, the leading one first."""
        return self.lanes_of(self.device_at(place)) if place.wide else (place.lane,)

    def device_at(self, place: Place) -> str:
        """The device of the place."""
        return self.lanes[place.lane].device

    def seconds_at(self, place: Place, tasks: Iterable[int]) -> float:
        """Run time of the tasks at the place, one after the other; inf where one of them cannot run there."""
        times = self.times.get(place)
        return inf if times is None else sum([times[task] for task in tasks])

    def crowded_seconds_at(self, place: Place, tasks: Iterable[int]) -> float:
        """Run time of the tasks at the place while every other lane of its device is busy."""
        device = self.device_at(place)
        if place.wide or device not in self.contended:
            return self.seconds_at(place, tasks)
        return sum(self.crowded[device][task] for task in tasks)

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
        if producer.name == consumer.name:
            return 0.0
        return self.handoff[consumer.device] + self.copy_seconds(producer.device, consumer.device, nbytes)


@dataclass(frozen=True)
class Schedule:
    """For each task its lane (an index into `Problem.lanes`), start and finish in seconds, and whether it is wide."""

    lane: tuple[int, ...]
    start: tuple[float, ...]
    finish: tuple[float, ...]
    makespan: float
    """When the last task has ended and the whole answer is on the host, in seconds."""
    optimal: bool = False
    """True when the algorithm proved that no schedule of this problem has a smaller makespan."""
    truncated: bool = False
    """True when the clock stopped the algorithm: another run may give another schedule."""
    bound: float = 0.0
    """Seconds that the algorithm proved every schedule of this problem to take, where it did."""
    wide: tuple[bool, ...] = ()
    """For each task whether it holds all lanes of its lane's device, its lane being the first; empty: none does."""

    @property
    def places(self) -> tuple[Place, ...]:
        """For each task its place."""
        pairs = list(zip(self.lane, self.wide or repeat(False), strict=False))
        known = {pair: Place(*pair) for pair in pairs}
        return tuple(known[pair] for pair in pairs)


@dataclass(frozen=True)
class Budget:
    """What an algorithm may spend. Iterations and nodes decide, so that results repeat; the clock only aborts."""

    solver_nodes: int = 40
    tasks: int = 60
    """Tasks above which no integer program is built."""
    pairs: int = 200
    """Pairs of tasks that no precedence orders above which none is built either."""
    search_work: int = 3_000_000
    """Tasks that local search may time, over all its starts."""
    stage_work: int = 400_000
    """Stages that may be timed while groupings are improved."""
    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class StagePlan:
    """Tasks that run as one stage at one place, with the stage's simulated start and finish in seconds."""

    tasks: tuple[int, ...]
    lane: int
    start: float = 0.0
    finish: float = 0.0
    wide: bool = False
    """The stage holds all lanes of its lane's device, of which its lane is the first."""

    @property
    def place(self) -> Place:
        """Where the stage runs."""
        return Place(self.lane, self.wide)
