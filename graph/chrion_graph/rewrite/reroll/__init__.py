"""Re-roll: turn unrolled LSTM, GRU and RNN cells back into one recurrent node a layer.

Exporters unroll a loop over cells (PyTorch's LSTMCell, GRUCell and RNNCell, Keras with `unroll=True`) into a dozen
small nodes a step. One node computes the same within float tolerance: biases are summed up beforehand, and ONNX
Runtime's recurrent kernels have activations of their own.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.rewrite.reroll.chains import find_chains
from chrion_graph.rewrite.reroll.layer import rolled
from chrion_graph.rewrite.support.reading import Reading

NAME = "re-roll"
PLACE, SUPERSEDES, APART = 10, True, False
"""Of all rewrites it gains the most, and what can be one layer is not worth cutting up in other ways."""


def propose(graph: Graph) -> Iterator[Mapping[str, Any]]:
    """All chains of cells, as `{"chains": their number}`; which they are follows from the graph."""
    chains = find_chains(Reading(graph))
    if chains:
        yield {"chains": len(chains)}


def apply(graph: Graph, parameters: Mapping[str, Any]) -> Graph:
    """Re-roll all chains. Raises RewriteError where their number is another, WriteFailed if weights cannot be kept."""
    reading = Reading(graph)
    chains = find_chains(reading)
    if not chains or parameters != {"chains": len(chains)}:
        raise RewriteError(f"{NAME}: {dict(parameters)} does not fit; this graph has {len(chains)} chains of cells")
    return rolled(reading, chains)
