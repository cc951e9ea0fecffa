"""The registry of rewrites: exact transformations of a graph, each replayable from its name and parameters."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from chrion_api import Rewrite
from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.rewrite import hoist, join_steps, reroll, split_directions, split_wide, wavefront

MOST_WAYS = 8
"""Ways to rewrite one graph that are looked at: each is profiled, planned and perhaps measured."""


class Rewriter(Protocol):
    """A module that holds one rewrite."""

    NAME: str

    def propose(self, graph: Graph) -> Iterator[Mapping[str, Any]]:
        """Parameters with which the rewrite applies to this graph, the most promising first; none where it does not."""

    def apply(self, graph: Graph, parameters: Mapping[str, Any]) -> Graph:
        """The rewritten graph. Raises RewriteError where the parameters do not fit."""


Way = tuple[tuple[Rewrite, ...], Graph]
"""Rewrites, and the graph that they make."""

_ROLLING: tuple[Rewriter, ...] = (reroll, join_steps)
"""Rewrites that make layers of single steps."""

REWRITES: dict[str, Rewriter] = {
    module.NAME: module for module in (*_ROLLING, split_directions, wavefront, hoist, split_wide)
}
"""In the order in which they are applied: each may open the way for the next."""


def ways(graph: Graph) -> tuple[Way, ...]:
    """The graph as it is, and up to MOST_WAYS - 1 that differ from it and from one another, the most promising first.

    What makes layers of steps comes first, and the others go on from what it made: of all rewrites it gains the most,
    and what can be one layer is not worth cutting up in other ways. Of the others, each is tried on what has been
    rewritten most first, in the order of REWRITES. None is applied whose result is not looked at.
    """
    return tuple(islice(_distinct(_ways(graph)), MOST_WAYS))


def _ways(graph: Graph) -> Iterator[Way]:
    yield (), graph
    rolled: Way = (), graph
    for module in _ROLLING:
        rolled = next(_each(module, rolled), rolled)
    found: Iterator[Way] = iter((rolled,))
    for module in REWRITES.values():
        found = found if module in _ROLLING else _further(module, found)
    yield from found


def _further(module: Rewriter, found: Iterator[Way]) -> Iterator[Way]:
    """All ways so far, and then each of them rewritten further."""
    seen = []
    for way in found:
        seen.append(way)
        yield way
    for way in sorted(seen, key=lambda way: -len(way[0])):
        yield from _each(module, way)


def _each(module: Rewriter, way: Way) -> Iterator[Way]:
    before, start = way
    for parameters in module.propose(start):
        rewrite = Rewrite(name=module.NAME, parameters=dict(parameters))
        yield (*before, rewrite), module.apply(start, rewrite.parameters)


def _distinct(found: Iterator[Way]) -> Iterator[Way]:
    digests = set()
    for way in found:
        if way[1].digest not in digests:
            digests.add(way[1].digest)
            yield way


def replay(graph: Graph, rewrites: Sequence[Rewrite]) -> Graph:
    """Apply rewrites in their order. Raises RewriteError for one that is unknown or does not fit."""
    for rewrite in rewrites:
        module = REWRITES.get(rewrite.name)
        if module is None:
            raise RewriteError(f'rewrite "{rewrite.name}" is unknown; this version has {", ".join(REWRITES)}')
        graph = module.apply(graph, rewrite.parameters)
    return graph
