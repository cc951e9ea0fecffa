"""The instances of the planning bench: 200 small ones that can be solved exactly, and large ones, all by name.

Each is a pure function of its name's parts. Costs are those of real profiles in kind and size: tasks of 30 µs to 1 ms,
hand-offs of 30 µs, a PCIe copy of 10 µs and 10 GB/s.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, exp, log

import networkx as nx

from chrion_api import HOST
from chrion_planner.partition import Lane, Link, Problem

GPU = "cuda:0"
HOP, HANDOFF = 5e-6, 30e-6
PCIE = Link(latency_seconds=10e-6, bytes_per_second=10e9)
MACHINES = {"2-cpu": (2, 0), "3-cpu": (3, 0), "4-cpu": (4, 0), "2-cpu-1-gpu": (2, 1)}
"""Lanes of the CPU and of the GPU, by name."""

EACH = 25
"""Instances of each kind for each machine."""

LEAST, MOST = 20, 60
"""Tasks of an instance."""


@dataclass(frozen=True)
class Instance:
    """A named problem."""

    name: str
    kind: str
    machine: str
    problem: Problem


def instances() -> Iterator[Instance]:
    """All 200, kinds and machines in turn, so that the first few are an even sample."""
    for seed in range(EACH):
        for machine in MACHINES:
            yield Instance(f"grid-{machine}-{seed:02}", "grid", machine, random_grid(seed, machine))
            yield Instance(f"layered-{machine}-{seed:02}", "layered", machine, random_layers(seed, machine))


def random_grid(seed: int, machine: str) -> Problem:
    """Recurrent layers by time steps, one direction or two; each cell is fed by an input projection of its own.

    All cells of a layer cost the same, as they do in a model, and so do its projections.
    """
    choose = random.Random(f"grid {seed} {machine}")
    directions = choose.choice((1, 1, 2))
    layers = choose.randint(2, 4 // directions + 1)
    size, step = choose.randint(LEAST, MOST), 2 * layers * directions
    steps = max(2, ceil(LEAST / step), size // step)
    return grid(choose, machine, layers, steps, directions)


def grid(choose: random.Random, machine: str, layers: int, steps: int, directions: int = 1) -> Problem:
    """A grid of the given size: 2 · layers · steps · directions tasks."""
    maker = _Maker(machine)
    below: list[list[int]] = [[] for _ in range(steps)]
    for _ in range(layers):
        cell = choose.uniform(50e-6, 400e-6)
        projection = cell * choose.uniform(0.3, 1.0)
        # A GPU runs a product fast and waits for each cell of a recurrent chain.
        cell_gpu, projection_gpu = cell * choose.uniform(0.5, 1.5), projection * choose.uniform(0.1, 0.5)
        nbytes = choose.choice((2_048, 8_192, 65_536))
        made: list[list[int]] = [[] for _ in range(steps)]
        for direction in range(directions):
            last = None
            for step in range(steps) if direction == 0 else reversed(range(steps)):
                feed = maker.task(projection, projection_gpu, [(task, nbytes) for task in below[step]])
                reads = [(feed, nbytes)] if last is None else [(feed, nbytes), (last, nbytes)]
                last = maker.task(cell, cell_gpu, reads)
                made[step].append(last)
        below = made
    return maker.problem(request=8_192, answer=8_192)


def random_layers(seed: int, machine: str) -> Problem:
    """Layers of random width; each task reads from one to three of the layer before, or now and then from any."""
    choose = random.Random(f"layered {seed} {machine}")
    return layered(choose, machine, choose.randint(LEAST, MOST), width=choose.randint(3, 8))


def layered(choose: random.Random, machine: str, tasks: int, width: int) -> Problem:
    """A layered DAG of so many tasks, at most `width` in a layer."""
    maker = _Maker(machine)
    before: list[int] = []
    older: list[int] = []
    made = 0
    while made < tasks:
        layer = []
        for _ in range(min(choose.randint(1, width), tasks - made)):
            read = set(choose.sample(before, min(len(before), choose.randint(1, 3))))
            if older and choose.random() < 0.2:
                read.add(choose.choice(older))
            seconds = exp(choose.uniform(log(30e-6), log(1e-3)))
            nbytes = [(task, choose.choice((1_024, 65_536, 1_048_576))) for task in sorted(read)]
            layer.append(maker.task(seconds, seconds * choose.choice((0.1, 0.3, 1.0, 2.0)), nbytes))
        made += len(layer)
        older = (older + before)[-4 * width :]
        before = layer
    return maker.problem(request=65_536, answer=8_192)


class _Maker:
    def __init__(self, machine: str) -> None:
        cpus, gpus = MACHINES[machine]
        self.lanes = tuple(Lane(f"{HOST}/{lane}", HOST) for lane in range(cpus))
        self.lanes += tuple(Lane(f"{GPU}/{lane}", GPU) for lane in range(gpus))
        self.graph: nx.DiGraph[int] = nx.DiGraph()
        self.host: list[float] = []
        self.gpu: list[float] = []

    def task(self, host: float, gpu: float, reads: list[tuple[int, int]]) -> int:
        """Adds a task with its seconds on each device and what it reads; returns its number."""
        number = len(self.host)
        self.graph.add_node(number)
        self.graph.add_edges_from((producer, number, {"bytes": nbytes}) for producer, nbytes in reads)
        self.host.append(host)
        self.gpu.append(gpu)
        return number

    def problem(self, request: int, answer: int) -> Problem:
        """The problem: what reads nothing reads the request, what nothing reads makes the answer."""
        count = len(self.host)
        seconds = {HOST: self.host, GPU: self.gpu}
        devices = dict.fromkeys(lane.device for lane in self.lanes)
        pairs = [(a, b) for a in devices for b in devices if a != b]
        return Problem(
            tasks=self.graph,
            seconds={device: seconds[device] for device in devices},
            lanes=self.lanes,
            host_in=[0 if self.graph.pred[task] else request for task in range(count)],
            host_out=[0 if self.graph.succ[task] else answer for task in range(count)],
            hop=dict.fromkeys(devices, HOP),
            handoff=dict.fromkeys(devices, HANDOFF),
            links=dict.fromkeys(pairs, PCIE),
        )
