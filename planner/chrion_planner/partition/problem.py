"""What every partitioning algorithm is given, and what it gives back.

A *task* is a set of graph nodes that never leave each other's side; tasks are numbered 0 … n-1 in a topological
order. An algorithm decides for each task the lane and the start; `stages.py` then groups neighbours of one lane
into stages, which are what really runs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

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

    `tasks`: DAG over 0 … n-1; edge attribute `bytes` is what the consumer reads from the producer.
    `seconds[device][task]`: run time on one lane of the device; inf where the device cannot run it.
    `host_in[task]`, `host_out[task]`: bytes the task reads from the request or writes to the answer, on the host.
    `memory[device][task]`: bytes the task takes on the device for as long as the plan is loaded.
    `budget[device]`: bytes that may be taken in all; a device that is not named has no limit.
    `hop[device]`: fixed cost of each stage. `handoff[device]`: cost of starting a stage there when the last input
    came from another lane (of any device), on top of a copy.
    `links[source, target]`: copies between different devices.
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

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices of the lanes, in the lanes' order."""
        return tuple(dict.fromkeys(lane.device for lane in self.lanes))

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
    optimal: bool = False
    """True when the algorithm proved that no schedule of this problem has a smaller makespan."""

    @property
    def makespan(self) -> float:
        """The end of the last task, in seconds."""
        return max(self.finish, default=0.0)


@dataclass(frozen=True)
class Budget:
    """What an algorithm may spend. Iterations and nodes decide, so that results repeat; the clock only aborts."""

    solver_nodes: int = 20_000
    seconds: float = 60.0


Algorithm = Callable[[Problem, Budget], Schedule | None]
"""Costs in, schedule out; None where the algorithm finds no schedule within the memory budget."""


@dataclass(frozen=True)
class StagePlan:
    """Tasks that run as one stage on one lane, with the stage's simulated start and finish in seconds."""

    tasks: tuple[int, ...]
    lane: int
    start: float = 0.0
    finish: float = 0.0
