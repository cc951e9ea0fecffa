"""Hoist: multiply the inputs of many nodes with the weights that they share in one product.

An unrolled cell multiplies its input with the same weights step after step, one row at a time. Where no step's input
depends on another's product, one product over all of them reads the weights once (Appleyard, Kočiský, Blunsom:
Optimizing performance of recurrent neural networks on GPUs, arXiv 1604.01946, section 3.1). It is for what re-roll
leaves: other cells, other element types, decoders, layers over single steps.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.rewrite.hoist.groups import find_groups
from chrion_graph.rewrite.hoist.product import hoisted
from chrion_graph.rewrite.support.reading import Reading

NAME = "hoist-projections"
PLACE, SUPERSEDES, APART = 70, False, False
"""It is for what the others leave."""


def propose(graph: Graph) -> Iterator[Mapping[str, Any]]:
    """All groups of products that can be one, as `{"products": number}`; which they are follows from the graph."""
    groups = find_groups(Reading(graph))
    if groups:
        yield {"products": len(groups)}


def apply(graph: Graph, parameters: Mapping[str, Any]) -> Graph:
    """Make each group one product. Raises RewriteError where their number is another."""
    reading = Reading(graph)
    groups = find_groups(reading)
    if not groups or parameters != {"products": len(groups)}:
        raise RewriteError(
            f"{NAME}: {dict(parameters)} does not fit; this graph has {len(groups)} groups of products to combine"
        )
    return hoisted(reading, groups)
