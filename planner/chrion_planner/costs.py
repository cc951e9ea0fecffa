"""From a graph and a profile to the problem that the partitioning algorithms solve. Pure: nothing is measured here."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf

import networkx as nx

from chrion_api import HOST, DeviceProfile, Optimization, PartCost, Profile, Shape, rounds_weights
from chrion_graph.graph import Graph, Shapes
from chrion_graph.recurrent import RECURRENT
from chrion_graph.signature import part_signature, signatures
from chrion_planner.errors import ProfileMismatch
from chrion_planner.partition import Lane, Link, Problem
from chrion_runtime.engines import engine_named


@dataclass(frozen=True)
class GraphBucket:
    """A graph with one bucket of input shapes, and the shapes of all its values that follow from them."""

    graph: Graph
    inputs: Mapping[str, Shape]
    shapes: Shapes


@dataclass(frozen=True)
class Part:
    """Nodes that an engine other than ONNX Runtime runs on the host, as one kernel and faster."""

    nodes: frozenset[int]
    engine: str
    runs: Mapping[int, PartCost]
    """The fastest, by the lanes that it holds."""


@dataclass(frozen=True)
class Costs:
    """A partitioning problem, and for each of its tasks the graph nodes that it stands for."""

    problem: Problem
    members: tuple[tuple[int, ...], ...]
    host: DeviceProfile
    weights: tuple[tuple[object, int], ...]
    """For each task what tells its weights from others', and their bytes."""
    crowding: tuple[float, ...]
    """For each task how many seconds longer it takes on one lane of the host while the others are busy too."""
    names: tuple[str, ...]
    """The signature of each node."""
    parts: Mapping[int, Part] = field(default_factory=dict)
    """Tasks that are parts, each a stage of its own."""


def parts_of(bucket: GraphBucket, profile: Profile, rounded: bool = False) -> list[Part]:
    """The parts of a graph that some engine is known to run faster than ONNX Runtime does on one lane.

    Their runs are the fastest, `rounded` or among those that keep weights as they are.
    """
    graph, host = bucket.graph, profile.device(HOST)
    known: dict[tuple[str, str], dict[int, PartCost]] = {}
    for run in host.parts:
        if rounds_weights(run.options) and not rounded:
            continue
        fastest = known.setdefault((run.engine, run.signature), {})
        fastest[run.lanes] = min(run, fastest.get(run.lanes, run), key=lambda one: one.seconds)
    names = signatures(graph, bucket.shapes)
    on_one = [cost.seconds if (cost := host.nodes.get(name)) else inf for name in names]
    scale = _scale(on_one, bucket, host, Optimization.ALL)
    found: list[Part] = []
    for engine in dict.fromkeys(engine for engine, _ in known):
        for nodes in engine_named(engine).claims(graph, HOST):
            runs = known.get((engine, part_signature(graph, nodes, bucket.shapes)), {})
            taken = any(not part.nodes.isdisjoint(nodes) for part in found)
            if 1 in runs and not taken and runs[1].seconds < scale * sum(on_one[node] for node in nodes):
                found.append(Part(frozenset(nodes), engine, runs))
    return found


def costs(bucket: GraphBucket, profile: Profile, optimization: Optimization, parts: Sequence[Part] = ()) -> Costs:
    """The problem of placing a graph's nodes on the profile's devices, the nodes of each part as one task.

    Raises ProfileMismatch where the profile lacks a node of the graph.
    """
    graph = bucket.graph
    members, dag = _tasks(bucket, parts)
    names = signatures(graph, bucket.shapes)
    task_of = {node: task for task, nodes in enumerate(members) for node in nodes}
    # With what lies between its nodes a part may be more than itself: then its engine does not run it.
    tasks_of_parts = [(task_of[min(part.nodes)], part) for part in parts]
    part_of = {task: part for task, part in tasks_of_parts if part.nodes == frozenset(members[task])}
    seconds: dict[str, list[float]] = {}
    wide: dict[str, list[float]] = {}
    crowded: dict[str, list[float]] = {}
    memory: dict[str, list[int]] = {}
    for device in profile.devices:
        _check(device, names, graph)
        known = [device.nodes[name] for name in names]
        on_one = [cost.seconds if cost else inf for cost in known]
        # Wide stages among others do not spin, as a whole graph on all lanes does, and is no measure for them.
        scale = _scale(on_one, bucket, device, optimization)

        def of_tasks(values: Sequence[float], scale: float = scale) -> list[float]:
            return [sum(scale * values[node] for node in nodes) for nodes in members]

        seconds[device.name] = of_tasks(on_one)
        if device.name == HOST:
            for task, part in part_of.items():
                seconds[HOST][task] = part.runs[1].seconds
        if device.lanes > 1 and device.name == HOST:
            wide[device.name] = of_tasks([cost.wide_seconds or cost.seconds if cost else inf for cost in known])
            for task, part in part_of.items():
                wide[HOST][task] = part.runs[device.lanes].seconds if device.lanes in part.runs else inf
        elif device.lanes > 1:
            # Lanes of an accelerator are no threads that one stage could hold; what they share is crowded instead.
            busy = [max(cost.crowded_seconds or 0.0, cost.seconds) if cost else inf for cost in known]
            crowded[device.name] = of_tasks(busy)
        memory[device.name] = [sum(cost.bytes for node in nodes if (cost := known[node])) for nodes in members]
    problem = Problem(
        tasks=dag,
        seconds=seconds,
        lanes=tuple(Lane(f"{item.name}/{lane}", item.name) for item in profile.devices for lane in range(item.lanes)),
        host_in=[_bytes(graph, nodes, graph.reads, graph.inputs, bucket.shapes) for nodes in members],
        host_out=[_bytes(graph, nodes, graph.writes, graph.outputs, bucket.shapes) for nodes in members],
        hop={item.name: item.hop_seconds for item in profile.devices},
        handoff={item.name: item.handoff_seconds for item in profile.devices},
        links=_links(profile),
        memory=memory,
        wide=wide,
        crowded=crowded,
        weight_groups=_weight_groups(graph, members, part_of),
    )
    host = profile.device(HOST)
    slower = [
        max(0.0, cost.crowded_seconds - cost.seconds) if (cost := host.nodes[name]) and cost.crowded_seconds else 0.0
        for name in names
    ]
    crowding = [sum(slower[node] for node in nodes) for nodes in members]
    for task, part in part_of.items():
        crowding[task] = (part.runs[1].crowded_seconds or part.runs[1].seconds) - part.runs[1].seconds
    return Costs(
        problem,
        members,
        host,
        weights=tuple(_weights(graph, nodes) for nodes in members),
        crowding=tuple(crowding),
        names=names,
        parts=part_of,
    )


def _weights(graph: Graph, nodes: Sequence[int]) -> tuple[object, int]:
    """What tells the weights that the nodes read from others', and their bytes."""
    names = {name for node in nodes for name in graph.reads[node] if name in graph.constants}
    return tuple(sorted(names)), sum(graph.constant_bytes(node) for node in nodes) if names else 0


def _tasks(bucket: GraphBucket, parts: Sequence[Part]) -> tuple[tuple[tuple[int, ...], ...], "nx.DiGraph[int]"]:
    """Nodes that cannot be parted as one task, with whatever lies on a way between them."""
    graph = bucket.graph
    dag = graph.dag(bucket.shapes)
    bound: nx.DiGraph[int] = nx.DiGraph(dag)
    bound.add_edges_from((target, source) for source, target in graph.joined())
    bound.add_edges_from((target, source) for source, target in _views_of_chunks(graph))
    for part in parts:
        ring = sorted(part.nodes)
        bound.add_edges_from(pairwise([*ring, ring[0]]))
    members = sorted(tuple(sorted(nodes)) for nodes in nx.strongly_connected_components(bound))
    if len(members) == len(graph.nodes):
        return tuple(members), dag
    task_of = {node: task for task, nodes in enumerate(members) for node in nodes}
    small: nx.DiGraph[int] = nx.DiGraph()
    small.add_nodes_from(range(len(members)))
    small.add_edges_from((task_of[a], task_of[b]) for a, b in dag.edges if task_of[a] != task_of[b])
    order = {task: place for place, task in enumerate(nx.lexicographical_topological_sort(small))}
    result: nx.DiGraph[int] = nx.DiGraph()
    result.add_nodes_from(range(len(members)))
    for a, b in dag.edges:
        source, target = order[task_of[a]], order[task_of[b]]
        if source != target:
            before = result.get_edge_data(source, target, {"bytes": 0})["bytes"]
            result.add_edge(source, target, bytes=before + dag.edges[a, b]["bytes"])
    return tuple(nodes for _, nodes in sorted((order[task], nodes) for task, nodes in enumerate(members))), result


def _views_of_chunks(graph: Graph) -> Iterator[tuple[int, int]]:
    """Time chunks of a layer, each with the Squeeze that follows it: as a stage of its own it would cost only a hop."""
    layers = Counter(_layer(graph, index) for index in range(len(graph.nodes)))
    for index, node in enumerate(graph.nodes):
        source = graph.producer.get(node.input[0]) if node.op_type == "Squeeze" else None
        layer = None if source is None else _layer(graph, source)
        if source is not None and layer is not None and layers[layer] > 1:
            yield source, index


def _layer(graph: Graph, index: int) -> tuple[str, ...] | None:
    """What names the layer that a recurrent node computes, or a part of it; None for other nodes."""
    node = graph.nodes[index]
    if node.op_type not in RECURRENT:
        return None
    return (node.op_type, *(name for name in node.input if name in graph.constants))


def _weight_groups(graph: Graph, members: Sequence[Sequence[int]], parts: Collection[int]) -> tuple[int | None, ...]:
    """Recurrent nodes that read the same weights, as time chunks of one layer do, are a group, named by the first.

    Parts are groups of one, since nothing can go into a stage with them.
    """
    first: dict[tuple[object, ...], int] = {}
    numbers: list[int | None] = []
    for task, nodes in enumerate(members):
        layer, *others = (_layer(graph, node) for node in nodes)
        if layer is None or any(others):
            numbers.append(None)
            continue
        operators = tuple(graph.nodes[node].op_type for node in nodes)
        numbers.append(first.setdefault((layer, operators), task))
    of = Counter(numbers)
    return tuple(task if task in parts else number if of[number] > 1 else None for task, number in enumerate(numbers))


def _check(device: DeviceProfile, names: Sequence[str], graph: Graph) -> None:
    for index, name in enumerate(names):
        if name not in device.nodes or (device.name == HOST and device.nodes[name] is None):
            raise ProfileMismatch(
                f"the profile has no {graph.nodes[index].op_type} of these shapes for {device.name} "
                f"(node {index}, signature {name}); it was made for another model or for other shapes: profile again"
            )


def _scale(seconds: Sequence[float], bucket: GraphBucket, device: DeviceProfile, optimization: Optimization) -> float:
    """What nodes, each measured alone on one lane, must be multiplied with for their sum to be the measured whole."""
    whole = device.whole(bucket.graph.digest, bucket.inputs, 1, optimization.options)
    total = sum(item for item in seconds if item < inf)
    return whole / total if whole and total else 1.0


def _bytes(
    graph: Graph,
    nodes: Sequence[int],
    values_of: Sequence[Sequence[str]],
    wanted: Mapping[str, object],
    shapes: Shapes,
) -> int:
    names = {name for node in nodes for name in values_of[node] if name in wanted}
    return sum(graph.value_bytes(name, shapes) for name in names)


def _links(profile: Profile) -> dict[tuple[str, str], Link]:
    """Copies between any two devices; between two that are not the host, by way of it."""
    links = {
        (item.source, item.target): Link(item.latency_seconds, item.bytes_per_second) for item in profile.transfers
    }
    others = [item.name for item in profile.devices if item.name != HOST]
    for source in others:
        for target in others:
            if source != target and (source, target) not in links:
                out, back = links[source, HOST], links[HOST, target]
                bandwidth = 1 / (1 / out.bytes_per_second + 1 / back.bytes_per_second)
                links[source, target] = Link(out.latency_seconds + back.latency_seconds, bandwidth)
    return links
