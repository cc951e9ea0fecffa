"""Instances of the partitioning problem: what the planner will really see, and what algorithms stumble over."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from math import inf
from types import SimpleNamespace

import networkx as nx
import pytest
from hypothesis import strategies as st

from chrion_api import HOST
from chrion_planner.partition import Lane, Link, Place, Problem

HOP, HANDOFF = 4e-6, 30e-6
GPU = "cuda:0"
PCIE = Link(latency_seconds=10e-6, bytes_per_second=10e9)

Edges = Sequence[tuple[int, int, int]]


def lanes(**counts: int) -> tuple[Lane, ...]:
    """`lanes(cpu=2, gpu=1)`: the lanes cpu/0, cpu/1 and cuda:0/0."""
    names = {"cpu": HOST, "gpu": GPU}
    return tuple(Lane(f"{names[kind]}/{i}", names[kind]) for kind, count in counts.items() for i in range(count))


def problem(
    seconds: Mapping[str, Sequence[float]],
    edges: Edges,
    on: tuple[Lane, ...],
    *,
    host_in: Sequence[int] | None = None,
    host_out: Sequence[int] | None = None,
    memory: Mapping[str, Sequence[int]] | None = None,
    budget: Mapping[str, int] | None = None,
    wide: Mapping[str, Sequence[float]] | None = None,
) -> Problem:
    """A problem on the host and at most one GPU, with the usual costs of hops, hand-offs and copies."""
    count = len(next(iter(seconds.values())))
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from((a, b, {"bytes": nbytes}) for a, b, nbytes in edges)
    return Problem(
        tasks=graph,
        seconds=seconds,
        lanes=on,
        host_in=host_in or [0] * count,
        host_out=host_out or [0] * count,
        hop=dict.fromkeys((HOST, GPU), HOP),
        handoff=dict.fromkeys((HOST, GPU), HANDOFF),
        links={(HOST, GPU): PCIE, (GPU, HOST): PCIE},
        memory=memory or {},
        budget=budget or {},
        wide=wide or {},
    )


def bidirectional(layers: int, on: tuple[Lane, ...] = lanes(cpu=2)) -> Problem:
    """Per layer a forward and a backward pass of 500 µs and a Concat of both."""
    seconds, edges = [], []
    for layer in range(layers):
        first = 3 * layer
        seconds += [500e-6, 500e-6, 4e-6]
        edges += [(first, first + 2, 64_000), (first + 1, first + 2, 64_000)]
        if layer:
            edges += [(first - 1, first, 128_000), (first - 1, first + 1, 128_000)]
    return problem({HOST: seconds, GPU: [s / 2 for s in seconds]}, edges, on)


def chain(length: int, on: tuple[Lane, ...] = lanes(cpu=2)) -> Problem:
    """Dense layers, one after the other: nothing runs side by side."""
    return problem({HOST: [100e-6] * length, GPU: [90e-6] * length}, [(i, i + 1, 4_096) for i in range(length - 1)], on)


def grid(layers: int, steps: int, nodes: int = 1, on: tuple[Lane, ...] = lanes(cpu=2), each: float = 5e-6) -> Problem:
    """Unrolled cells: a chain of `nodes` with a skip, fed by the layer below and by the step before."""
    edges = []
    for layer in range(layers):
        for step in range(steps):
            first = (layer * steps + step) * nodes
            edges += [(first + i, first + i + 1, 1_024) for i in range(nodes - 1)]
            if nodes > 2:
                edges.append((first, first + nodes - 1, 1_024))
            edges += [(first - 1, first, 1_024)] if step else []
            edges += [(first - (steps - 1) * nodes - 1, first, 1_024)] if layer else []
    count = layers * steps * nodes
    return problem({HOST: [each] * count, GPU: [each] * count}, edges, on)


def fork_join(width: int, seconds: float, on: tuple[Lane, ...] = lanes(cpu=2)) -> Problem:
    """One task, `width` that run side by side, and one that waits for them all."""
    edges = [e for i in range(1, width + 1) for e in ((0, i, 10_000), (i, width + 1, 10_000))]
    work = [5e-6, *[seconds] * width, 5e-6]
    return problem({HOST: work, GPU: work}, edges, on, host_in=[4_096, *[0] * (width + 1)])


def layered(seed: int, count: int, on: tuple[Lane, ...], *, budget: int | None = None) -> Problem:
    """A random graph of a few tasks a layer; some tasks run only on the host, and devices differ by task."""
    choose = random.Random(seed)
    layer = [0]
    for _ in range(count - 1):
        layer.append(layer[-1] + (choose.random() < 0.4))
    edges = [
        (i, j, choose.choice((0, 1_000, 1_000_000)))
        for j in range(count)
        for i in range(j)
        if layer[i] < layer[j] and choose.random() < 1.5 / (layer[j] - layer[i]) ** 2 / 3
    ]
    host = [choose.choice((1e-6, 20e-6, 100e-6, 1e-3)) * choose.uniform(0.5, 1.5) for _ in range(count)]
    gpu = [inf if choose.random() < 0.15 else s * choose.choice((0.1, 0.5, 2.0)) for s in host]
    return problem(
        {HOST: host, GPU: gpu},
        edges,
        on,
        host_in=[choose.choice((0, 0, 100_000)) for _ in range(count)],
        host_out=[choose.choice((0, 0, 100_000)) for _ in range(count)],
        memory={GPU: [choose.randrange(1_000) for _ in range(count)]},
        budget={} if budget is None else {GPU: budget},
    )


def drawn(data: st.DataObject, most: int) -> Problem:
    """A problem of hypothesis' choice, with at most `most` tasks; it may well have no solution."""
    count = data.draw(st.integers(1, most), "tasks")
    seconds = st.sampled_from((0.0, 1e-6, 17e-6, 200e-6, 3e-3))
    nbytes = st.sampled_from((0, 1_000, 1_000_000))
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda pair: pair[0] < pair[1])
    ends = data.draw(st.lists(pairs, max_size=3 * count, unique=True), "edges") if count > 1 else []
    entries = {"min_size": count, "max_size": count}
    host = data.draw(st.lists(seconds, **entries), "seconds on the host")
    gpu = data.draw(st.lists(seconds | st.just(inf), **entries), "seconds on the GPU")
    some = (lanes(cpu=1), lanes(cpu=2), lanes(cpu=2, gpu=1), lanes(cpu=1, gpu=2), lanes(gpu=2))
    on = data.draw(st.sampled_from(some), "lanes")
    return problem(
        {HOST: host, GPU: gpu},
        [(a, b, data.draw(nbytes)) for a, b in ends],
        on,
        host_in=data.draw(st.lists(nbytes, **entries), "request"),
        host_out=data.draw(st.lists(nbytes, **entries), "answer"),
        memory={GPU: data.draw(st.lists(st.integers(0, 9), **entries), "memory")},
        budget=data.draw(st.just({}) | st.fixed_dictionaries({GPU: st.integers(0, 20)}), "budget"),
        wide=drawn_wide(data, {HOST: host, GPU: gpu}),
    )


def drawn_wide(data: st.DataObject, seconds: Mapping[str, Sequence[float]]) -> dict:
    """Wide times of hypothesis' choice: none at all, or from a gain on every lane to a loss."""
    if not data.draw(st.booleans(), "moldable"):
        return {}
    gain = st.sampled_from((1.0, 0.55, 0.8, 1.0, 1.3, inf))
    return {device: [each * data.draw(gain) if each else each for each in times] for device, times in seconds.items()}


def moldable(seed: int, count: int, on: tuple[Lane, ...]) -> Problem:
    """A random graph of tasks of three kinds: nearly as fast as there are lanes when wide, hardly faster, and cheap."""
    choose = random.Random(seed)
    layer = [0]
    for _ in range(count - 1):
        layer.append(layer[-1] + (choose.random() < 0.55))
    edges = [
        (i, j, 4_096)
        for j in range(count)
        for i in range(j)
        if layer[i] < layer[j] and choose.random() < 0.9 / (layer[j] - layer[i]) ** 2
    ]
    host, wide = [], []
    for _ in range(count):
        kind, seconds = choose.choices(("matmul", "recurrent", "cheap"), (2, 2, 1))[0], choose.uniform(0.2e-3, 2e-3)
        in_full = 1 / sum(lane.device == HOST for lane in on)
        host.append(seconds / 100 if kind == "cheap" else seconds)
        gain = {"matmul": in_full / choose.uniform(0.8, 1.0), "recurrent": choose.uniform(0.6, 1.1), "cheap": 1.0}[kind]
        wide.append(host[-1] * gain)
    gpu = [seconds * choose.choice((0.3, 0.6, 1.0, 3.0)) for seconds in host]
    return problem({HOST: host, GPU: gpu}, edges, on, wide={HOST: wide})


def denoiser(chunks: int = 8, on: tuple[Lane, ...] = lanes(cpu=2)) -> Problem:
    """Like NSNet2: a wide MatMul, two recurrent layers in time chunks, and three wide MatMuls with an Add after each.

    The chunks are the tasks 1 to 2 · `chunks`, the first layer's before the second's.
    """
    host, wide, edges = [2e-3], [1.05e-3], []
    for layer in range(2):
        for chunk in range(chunks):
            task = len(host)
            host, wide = [*host, 0.8e-3], [*wide, 0.78e-3]
            edges += [(task - chunks, task, 4_096)] if layer else [(0, task, 4_096)]
            edges += [(task - 1, task, 1_024)] if chunk else []
    edges += [(chunks + 1 + chunk, 2 * chunks + 1, 4_096) for chunk in range(chunks)]
    for _ in range(3):
        task = len(host)
        host, wide = [*host, 2e-3, 8e-6], [*wide, 1.05e-3, 8e-6]
        edges += [(task, task + 1, 4_096)] + ([(task - 1, task, 4_096)] if task > 2 * chunks + 1 else [])
    return problem({HOST: host, GPU: [3 * seconds for seconds in host]}, edges, on, wide={HOST: wide})


def siblings(count: int, wide: float, on: tuple[Lane, ...] = lanes(cpu=2)) -> Problem:
    """Tasks of 500 µs that nothing orders, each of `wide` seconds on all lanes."""
    return problem({HOST: [500e-6] * count, GPU: [2e-3] * count}, [], on, wide={HOST: [wide] * count})


def published() -> Problem:
    """The example of the HEFT paper (Topcuoglu et al. 2002, figures 1 to 3): 10 tasks, 3 processors, makespan 80."""
    rows = """14 16 9; 13 19 18; 11 13 19; 13 8 17; 12 13 10; 13 16 9; 7 15 11; 5 11 14; 18 12 20; 21 7 16"""
    costs = [[float(cost) for cost in row.split()] for row in rows.split(";")]
    edges = """1 2 18, 1 3 12, 1 4 9, 1 5 11, 1 6 14, 2 8 19, 2 9 16, 3 7 23, 4 8 27, 4 9 23, 5 9 13, 6 8 15,
        7 10 17, 8 10 11, 9 10 13"""
    graph: nx.DiGraph[int] = nx.DiGraph()
    for edge in edges.split(","):
        producer, consumer, nbytes = map(int, edge.split())
        graph.add_edge(producer - 1, consumer - 1, bytes=nbytes)
    names = ("p1", "p2", "p3")
    return Problem(
        tasks=graph,
        seconds={name: [row[i] for row in costs] for i, name in enumerate(names)},
        lanes=tuple(Lane(name, name) for name in names),
        host_in=[0] * 10,
        host_out=[0] * 10,
        hop=dict.fromkeys(names, 0.0),
        handoff=dict.fromkeys(names, 0.0),
        links={(a, b): Link(0.0, 1.0) for a in names for b in names if a != b},
    )


def orders(problem: Problem, done: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """Every topological order of the tasks."""
    if len(done) == len(problem.tasks):
        yield done
    for task in problem.tasks:
        if task not in done and all(producer in done for producer in problem.tasks.pred[task]):
            yield from orders(problem, (*done, task))


def least_makespan(problem: Problem) -> float:
    """The least makespan over all placements within the budgets and all orders; inf where there is none."""
    least = inf
    every_order = list(orders(problem))
    everywhere = (
        [at for at, times in problem.times.items() if times[task] < inf] for task in range(len(problem.tasks))
    )
    for places in product(*everywhere):
        device = [problem.device_at(at) for at in places]
        held = {
            name: sum(problem.memory[name][t] for t in problem.tasks if device[t] == name) for name in problem.budget
        }
        if any(held[name] > limit for name, limit in problem.budget.items()):
            continue
        for order in every_order:
            least = min(least, _makespan(problem, order, places))
    return least


def _makespan(problem: Problem, order: tuple[int, ...], places: tuple[Place, ...]) -> float:
    free, finish, end = [0.0] * len(problem.lanes), {}, 0.0
    for task in order:
        device, held = problem.device_at(places[task]), problem.lanes_at(places[task])
        start = max(*(free[at] for at in held), problem.copy_seconds(HOST, device, problem.host_in[task]))
        for producer, edge in problem.tasks.pred[task].items():
            source, target = problem.lanes[places[producer].lane], problem.lanes[places[task].lane]
            start = max(start, finish[producer] + problem.arrival_seconds(source, target, edge["bytes"]))
        finish[task] = start + problem.times[places[task]][task]
        for at in held:
            free[at] = finish[task]
        end = max(end, finish[task] + problem.copy_seconds(device, HOST, problem.host_out[task]))
    return end


MIXED = lanes(cpu=2, gpu=1)

INSTANCES: dict[str, Callable[[], Problem]] = {
    "empty": lambda: problem({HOST: [], GPU: []}, [], MIXED),
    "one task": lambda: problem({HOST: [1e-5], GPU: [inf]}, [], MIXED, host_in=[8], host_out=[8]),
    "tasks that take no time": lambda: problem({HOST: [0.0] * 4}, [(0, 1, 0), (1, 3, 0), (2, 3, 0)], lanes(cpu=2)),
    "bidirectional, 1 layer": lambda: bidirectional(1),
    "bidirectional, 4 layers": lambda: bidirectional(4),
    "bidirectional, CPU and GPU": lambda: bidirectional(4, MIXED),
    "chain": lambda: chain(20),
    "chain, CPU and GPU": lambda: chain(20, MIXED),
    "fork and join, cheap": lambda: fork_join(8, 3e-6),
    "fork and join, dear": lambda: fork_join(6, 400e-6),
    "fork and join, CPU and GPU": lambda: fork_join(6, 400e-6, MIXED),
    "grid, small": lambda: grid(3, 4, each=100e-6),
    "grid": lambda: grid(4, 8, nodes=5),
    "grid, 4 lanes": lambda: grid(6, 12, nodes=1, on=lanes(cpu=4), each=80e-6),
    "published": published,
    "denoiser": denoiser,
    "denoiser, CPU and GPU": lambda: denoiser(4, MIXED),
    "wide siblings": lambda: siblings(3, 300e-6),
    **{f"moldable, seed {seed}": lambda seed=seed: moldable(seed, 10, MIXED) for seed in range(2)},
    "moldable, 4 lanes": lambda: moldable(3, 10, lanes(cpu=4)),
    "moldable, large": lambda: moldable(4, 48, lanes(cpu=4, gpu=1)),
    **{f"layered, seed {seed}": lambda seed=seed: layered(seed, 12, MIXED) for seed in range(4)},
    **{
        f"layered with a budget, seed {seed}": lambda seed=seed: layered(seed, 12, MIXED, budget=1_500)
        for seed in range(4)
    },
    "layered, no GPU memory": lambda: layered(5, 12, MIXED, budget=0),
    "layered, large": lambda: layered(6, 150, MIXED, budget=30_000),
    "layered, CPU only": lambda: layered(7, 60, lanes(cpu=4)),
}


@pytest.fixture(scope="session")
def build() -> SimpleNamespace:
    """The functions that make instances and solve them, and the names they use."""
    makers = (lanes, problem, bidirectional, chain, grid, fork_join, layered, drawn, published)
    makers = (*makers, moldable, denoiser, siblings, least_makespan)
    return SimpleNamespace(**{maker.__name__: maker for maker in makers}, GPU=GPU, HOP=HOP, HANDOFF=HANDOFF)


@pytest.fixture(params=INSTANCES)
def instance(request: pytest.FixtureRequest) -> Problem:
    """Each instance in turn."""
    return INSTANCES[request.param]()
