"""How much of a graph could run side by side: weights stand for work, as there are no measurements yet."""

from chrion_graph.graph import Graph

_LOOKUPS = frozenset(("Gather", "GatherElements", "GatherND"))
"""Operators that read few of their constants' rows."""


def works(graph: Graph) -> tuple[int, ...]:
    """Bytes of the weights that each node multiplies with, as they are kept."""
    found: list[int] = []
    handed_on: dict[int, int] = {}
    """What nodes that read nothing but constants, such as casts and dequantisers, leave to who reads them."""
    for index, names in enumerate(graph.reads):
        sources = {graph.producer[name] for name in names if name in graph.producer}
        weights = graph.constant_bytes(index) + sum(handed_on.get(source, 0) for source in sources)
        if sources <= handed_on.keys() and not any(name in graph.inputs for name in names):
            handed_on[index], weights = weights, 0
        found.append(0 if graph.nodes[index].op_type in _LOOKUPS else weights)
    return tuple(found)


def apart(graph: Graph) -> float:
    """The part of all work that is not on the longest way through the graph, 0 to 1: what other lanes could do."""
    behind: list[int] = []
    work = works(graph)
    for index, names in enumerate(graph.reads):
        before = max((behind[graph.producer[name]] for name in names if name in graph.producer), default=0)
        behind.append(before + work[index])
    return 1 - max(behind, default=0) / sum(work) if sum(work) else 0.0
