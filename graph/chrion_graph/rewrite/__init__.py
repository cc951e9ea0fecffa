"""The registry of rewrites: exact transformations of a graph, each replayable from its name and parameters."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from chrion_api import Rewrite
from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.rewrite import reroll, split_directions, wavefront

MOST_WAYS = 8
"""Ways to rewrite one graph that are looked at: each is profiled, planned and perhaps measured."""


class Rewriter(Protocol):
    """A module that holds one rewrite."""

    NAME: str

    def propose(self, graph: Graph) -> Iterator[Mapping[str, Any]]:
        """Parameters with which the rewrite applies to this graph, the most promising first; none where it does not."""

    def apply(self, graph: Graph, parameters: Mapping[str, Any]) -> Graph:
        """The rewritten graph. Raises RewriteError where the parameters do not fit."""


REWRITES: dict[str, Rewriter] = {module.NAME: module for module in (reroll, split_directions, wavefront)}
"""In the order in which they are applied: each may open the way for the next."""


def ways(graph: Graph) -> tuple[tuple[tuple[Rewrite, ...], Graph], ...]:
    """The graph as it is, and rewritten in every way that applies, one rewrite after another, up to MOST_WAYS."""
    found: list[tuple[tuple[Rewrite, ...], Graph]] = [((), graph)]
    for name, module in REWRITES.items():
        for before, start in list(found):
            for parameters in module.propose(start):
                rewrite = Rewrite(name=name, parameters=dict(parameters))
                found.append(((*before, rewrite), module.apply(start, rewrite.parameters)))
    return tuple(found[:MOST_WAYS])


def replay(graph: Graph, rewrites: Sequence[Rewrite]) -> Graph:
    """Apply rewrites in their order. Raises RewriteError for one that is unknown or does not fit."""
    for rewrite in rewrites:
        module = REWRITES.get(rewrite.name)
        if module is None:
            raise RewriteError(f'rewrite "{rewrite.name}" is unknown; this version has {", ".join(REWRITES)}')
        graph = module.apply(graph, rewrite.parameters)
    return graph
