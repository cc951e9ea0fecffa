"""The registry of rewrites: exact transformations of a graph, each replayable from its name and parameters."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from chrion_api import Rewrite
from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.rewrite import split_directions


class Rewriter(Protocol):
    """A module that holds one rewrite."""

    NAME: str

    def propose(self, graph: Graph) -> Mapping[str, Any] | None:
        """Parameters with which the rewrite applies to this graph; None where it has nothing to do."""

    def apply(self, graph: Graph, parameters: Mapping[str, Any]) -> Graph:
        """The rewritten graph. Raises RewriteError where the parameters do not fit."""


REWRITES: dict[str, Rewriter] = {module.NAME: module for module in (split_directions,)}


def propose(graph: Graph) -> tuple[Rewrite, ...]:
    """Every rewrite that applies to the graph, with its parameters."""
    found = []
    for name, module in REWRITES.items():
        parameters = module.propose(graph)
        if parameters is not None:
            found.append(Rewrite(name=name, parameters=dict(parameters)))
    return tuple(found)


def replay(graph: Graph, rewrites: Sequence[Rewrite]) -> Graph:
    """Apply rewrites in their order. Raises RewriteError for one that is unknown or does not fit."""
    for rewrite in rewrites:
        module = REWRITES.get(rewrite.name)
        if module is None:
            raise RewriteError(f'rewrite "{rewrite.name}" is unknown; this version has {", ".join(REWRITES)}')
        graph = module.apply(graph, rewrite.parameters)
    return graph
