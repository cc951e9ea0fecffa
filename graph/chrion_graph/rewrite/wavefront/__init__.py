"""Cut stacks of recurrent layers into layers × time chunks, so that layers work side by side.

Layer k works on chunk t while layer k+1 works on chunk t-1; the state that ends one chunk begins the next. Each step
computes what it did before, so the rewrite is exact. All chunks of a layer read the same weights and are alike, so
that stages made of them can share a session. The schedule is that of Appleyard, Kočiský, Blunsom: Optimizing
performance of recurrent neural networks on GPUs (arXiv 1604.01946), on chunks where they have single steps.

Not touched are bidirectional layers, whose directions meet after every layer, and reverse layers with `sequence_lens`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import onnx

from chrion_graph.attributes import integer
from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.rewrite.support.rebuild import rebuilt
from chrion_graph.rewrite.wavefront.chunks import chunked
from chrion_graph.rewrite.wavefront.stacks import Stack, find_stacks, known_steps

NAME = "wavefront"
PLACE, SUPERSEDES, APART = 60, False, True

FEWEST_STEPS = 8
"""Time steps that a proposed chunk has at least, where the length is known."""
WIDE = 256
"""Width of a state from which on a chunk is worth handing over eight times."""

MOST_PIECES = 4096
"""Chunks of all layers together that are proposed: planning more would take longer than it could gain."""


def propose(graph: Graph) -> Iterator[Mapping[str, Any]]:
    """All stacks in four or eight chunks, as `{"chunks": count, "stacks": [[indices, the lowest layer first]]}`."""
    stacks = find_stacks(graph)
    widest = max(
        (integer(graph.nodes[layer.index], "hidden_size", 0) for stack in stacks for layer in stack), default=0
    )
    for chunks in (8, 4) if widest >= WIDE else (4, 8):
        chosen = [stack for stack in stacks if _holds(graph, stack, chunks * FEWEST_STEPS)]
        if chosen and chunks * sum(map(len, chosen)) <= MOST_PIECES:
            yield {"chunks": chunks, "stacks": [_indices(stack) for stack in chosen]}


def apply(graph: Graph, parameters: Mapping[str, Any]) -> Graph:
    """Cut the named stacks. Raises RewriteError where one of them is no stack, or shorter than the chunks."""
    chunks, chosen = parameters.get("chunks"), parameters.get("stacks")
    if not isinstance(chunks, int) or chunks < 2:
        raise RewriteError(f"{NAME}: the number of chunks must be 2 or more, not {chunks}")
    stacks = [stack for stack in find_stacks(graph) if isinstance(chosen, list) and _indices(stack) in chosen]
    if not stacks or len(stacks) != len(chosen or ()):
        raise RewriteError(f"{NAME}: {chosen} are not stacks of recurrent layers of this graph")
    if not all(_holds(graph, stack, chunks) for stack in stacks):
        raise RewriteError(f"{NAME}: there are stacks of fewer than {chunks} time steps among {chosen}")
    last = {stack[-1].index: stack for stack in stacks}
    gone = {layer.index for stack in stacks for layer in stack}
    added, nodes = onnx.GraphProto(), list[onnx.NodeProto]()
    for index, node in enumerate(graph.nodes):
        if index in last:
            nodes.extend(chunked(graph, added, last[index], chunks))
        elif index not in gone:
            nodes.append(node)
    # What reads a lower layer may stand before the chunks, and what was only glue is read by nobody any more.
    return rebuilt(graph, nodes, added.initializer, added.value_info)


def _indices(stack: Stack) -> list[int]:
    return [layer.index for layer in stack]


def _holds(graph: Graph, stack: Stack, steps: int) -> bool:
    """Whether the stack runs for that many time steps, or for as many as there will be."""
    known = known_steps(graph, stack)
    return known is None or known >= steps
