"""Predict the GPU memory of a plan: weights of its stages, values bound in advance, values inside a stage."""

from collections.abc import Mapping, Sequence

from chrion_api import GpuBytes, Stage
from chrion_graph.cut import cut
from chrion_graph.graph import Graph, Shapes
from chrion_planner.partition import HOST
from chrion_runtime.executor import SLOTS


def gpu_bytes(
    graph: Graph, shapes: Shapes, stages: Sequence[Stage], node_bytes: Mapping[str, Sequence[int]], context: int
) -> GpuBytes:
    """Bytes on every device but the host.

    `node_bytes[device][node]` is what a node's weights take; `context` what a process takes before it loads anything.
    """
    weights = bound = inner = 0
    for stage in stages:
        if stage.device == HOST:
            continue
        weights += sum(node_bytes[stage.device][node] for node in stage.nodes)
        part = cut(graph, stage.nodes)
        bound += sum(graph.value_bytes(name, shapes) for name in (*part.inputs, *part.outputs))
        inner = max(inner, peak_bytes(graph, shapes, stage.nodes))
    if not weights and not bound:
        return GpuBytes()
    return GpuBytes(weights=weights, activations=SLOTS * bound + inner, context=context)


def peak_bytes(graph: Graph, shapes: Shapes, nodes: Sequence[int]) -> int:
    """The most bytes that values inside a stage take at once, each from its producer to its last consumer there."""
    order = sorted(nodes)
    inside = set(order)
    last = {}
    for node in order:
        for name in graph.reads[node]:
            if graph.producer.get(name) in inside:
                last[name] = node
    alive = peak = 0
    for node in order:
        made = [name for name in graph.writes[node] if name in last and name not in graph.outputs]
        alive += sum(graph.value_bytes(name, shapes) for name in made)
        peak = max(peak, alive)
        ended = [name for name, end in last.items() if end == node and name not in graph.outputs]
        alive -= sum(graph.value_bytes(name, shapes) for name in ended)
        for name in ended:
            del last[name]
    return peak
