"""Unroll: take an LSTM, GRU or RNN apart into cells of small nodes that every device has.

For recurrent nodes that a device refuses: cuDNN knows no GRU with `linear_before_reset=0`, no peepholes, no clipping
and few activations. The products with the inputs of all steps are one; each step then takes about a dozen nodes. The
equations are those of ONNX's operators LSTM, GRU and RNN, in another order of additions.

It costs a launch for each small node, so it may well lose to the layer on the CPU: measuring decides.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from onnx import NodeProto

from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.rewrite.support.reading import Reading
from chrion_graph.rewrite.support.rebuild import rebuilt
from chrion_graph.rewrite.unroll.cells import Unroller
from chrion_graph.rewrite.unroll.layer import RecurrentLayer, read_layer

NAME = "unroll"
PLACE, SUPERSEDES, APART = 40, False, True
"""It takes many nodes for one, so the layer may still be faster; and it needs layers that are not cut up yet."""

MOST_CELLS = 256
"""Cells (steps times directions) of all nodes together: some 3,000 nodes, which can still be planned with care."""


def candidates(graph: Graph) -> tuple[int, ...]:
    """The nodes that can be taken apart, each alone."""
    return tuple(index for index, layer in _layers(graph, range(len(graph.nodes))).items() if layer.cells <= MOST_CELLS)


def propose(graph: Graph, nodes: Collection[int]) -> Iterator[Mapping[str, Any]]:
    """The nodes, as `{"nodes": [indices]}`: those that can be taken apart, as many as make MOST_CELLS."""
    chosen, cells = [], 0
    for index, layer in _layers(graph, sorted(nodes)).items():
        if cells + layer.cells <= MOST_CELLS:
            chosen.append(index)
            cells += layer.cells
    if chosen:
        yield {"nodes": chosen}


def apply(graph: Graph, parameters: Mapping[str, Any]) -> Graph:
    """Take the named nodes apart. Raises RewriteError where one cannot be, WriteFailed if weights cannot be kept."""
    chosen = parameters.get("nodes")
    known = isinstance(chosen, list) and all(type(index) is int and 0 <= index < len(graph.nodes) for index in chosen)
    layers = _layers(graph, chosen) if known and chosen else {}
    if not layers or len(layers) != len(chosen or ()):
        raise RewriteError(f"{NAME}: nodes {chosen} are not recurrent nodes of this graph that can be taken apart")
    unroller, nodes = Unroller(Reading(graph), NAME), list[NodeProto]()
    for index, node in enumerate(graph.nodes):
        nodes.extend(unroller.cells(layers[index]) if index in layers else [node])
    unroller.constants.save()
    return rebuilt(graph, nodes, unroller.tensors, unroller.infos)


def _layers(graph: Graph, nodes: Collection[int]) -> dict[int, RecurrentLayer]:
    reading = Reading(graph)
    found = {index: read_layer(reading, graph.nodes[index]) for index in nodes}
    return {index: layer for index, layer in found.items() if layer is not None}
