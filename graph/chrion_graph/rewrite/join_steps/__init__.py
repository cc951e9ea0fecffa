"""Join steps: turn a chain of LSTM, GRU or RNN nodes that run one step each into one node over all steps.

A loop over a layer of one step is written like this, as in streaming models that are unrolled. The node's equations
are the same step by step (ONNX operators LSTM, GRU and RNN), so the answers are, within float tolerance: the products
with the inputs of all steps are one.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.rewrite.join_steps.layer import joined
from chrion_graph.rewrite.join_steps.steps import find_steps
from chrion_graph.rewrite.support.reading import Reading

NAME = "join-steps"
PLACE, SUPERSEDES, APART = 20, True, False
"""As with re-roll, what can be one layer is not worth cutting up in other ways."""


def propose(graph: Graph) -> Iterator[Mapping[str, Any]]:
    """All chains of nodes, as `{"chains": their number}`; which they are follows from the graph."""
    chains = find_steps(Reading(graph)).chains
    if chains:
        yield {"chains": len(chains)}


def apply(graph: Graph, parameters: Mapping[str, Any]) -> Graph:
    """Join all chains. Raises RewriteError where their number is another."""
    reading = Reading(graph)
    found = find_steps(reading)
    if not found.chains or parameters != {"chains": len(found.chains)}:
        raise RewriteError(
            f"{NAME}: {dict(parameters)} does not fit; this graph has {len(found.chains)} chains of nodes of one step"
        )
    return joined(reading, found)
