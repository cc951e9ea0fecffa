"""The registry of rewrites: exact transformations of a graph, each replayable from its name and parameters."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Protocol

from chrion_api import Rewrite
from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.rewrite import hoist, join_steps, reroll, reset_after, split_directions, split_wide, unroll, wavefront

MOST_WAYS = 8
"""Ways to rewrite one graph that are looked at: each is profiled, planned and perhaps measured."""


class Replayed(Protocol):
    """A module that holds one rewrite, as far as replaying it from a plan goes."""

    NAME: str

    def apply(self, graph: Graph, parameters: Mapping[str, Any]) -> Graph:
        """The rewritten graph. Raises RewriteError where the parameters do not fit."""


class Rewriter(Replayed, Protocol):
    """A module that holds a rewrite which any graph may gain by."""

    def propose(self, graph: Graph) -> Iterator[Mapping[str, Any]]:
        """Parameters with which the rewrite applies to this graph, the most promising first; none where it does not."""


class Substitute(Replayed, Protocol):
    """A module that holds a rewrite for nodes that a device refuses; elsewhere it would gain nothing."""

    def candidates(self, graph: Graph) -> tuple[int, ...]:
        """The nodes for which the module has something to put in their place."""

    def propose(self, graph: Graph, nodes: Collection[int]) -> Iterator[Mapping[str, Any]]:
        """Parameters with which the rewrite applies to some of these nodes."""


Refusals = Callable[[Graph, Sequence[int]], Collection[int]]
"""Which of some nodes of a graph a device refuses."""

Way = tuple[tuple[Rewrite, ...], Graph]
"""Rewrites, and the graph that they make."""

_ROLLING: tuple[Rewriter, ...] = (reroll, join_steps)
"""Rewrites that make layers of single steps."""

REWRITES: dict[str, Rewriter] = {
    module.NAME: module for module in (*_ROLLING, split_directions, wavefront, hoist, split_wide)
}
"""In the order in which they are applied: each may open the way for the next."""

SUBSTITUTES: dict[str, Substitute] = {module.NAME: module for module in (reset_after, unroll)}
"""Applied to layers, before they are cut up, and only where a device refuses the nodes."""


def none_refused(graph: Graph, nodes: Sequence[int]) -> Collection[int]:
    """The refusals of a device that takes every node."""
    del graph, nodes
    return ()


def ways(graph: Graph, refused: Refusals = none_refused) -> tuple[Way, ...]:
    """The graph as it is, and up to MOST_WAYS - 1 that differ from it and from one another, the most promising first.

    What makes layers of steps comes first, and the others go on from what it made: of all rewrites it gains the most,
    and what can be one layer is not worth cutting up in other ways. Of the others, each is tried on what has been
    rewritten most first, in the order of REWRITES. None is applied whose result is not looked at.

    `refused` is asked about nodes that could be replaced by others which more devices have. Where one is replaced by
    one node all others go on from that; where it takes many, both ways are followed.
    """
    return tuple(islice(_distinct(_ways(graph, refused)), MOST_WAYS))


def _ways(graph: Graph, refused: Refusals) -> Iterator[Way]:
    yield (), graph
    rolled: Way = (), graph
    for module in _ROLLING:
        rolled = next(_each(module, rolled), rolled)
    rolled = next(_instead(reset_after, rolled, refused), rolled)
    found: Iterator[Way] = chain((rolled,), _instead(unroll, rolled, refused))
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


def _instead(module: Substitute, way: Way, refused: Refusals) -> Iterator[Way]:
    """The way with what the module puts in place of refused nodes; nothing where none is."""
    before, start = way
    possible = module.candidates(start)
    chosen = refused(start, possible) if possible else ()
    for parameters in module.propose(start, chosen):
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
    known: dict[str, Replayed] = {**REWRITES, **SUBSTITUTES}
    for rewrite in rewrites:
        module = known.get(rewrite.name)
        if module is None:
            raise RewriteError(f'rewrite "{rewrite.name}" is unknown; this version has {", ".join(known)}')
        graph = module.apply(graph, rewrite.parameters)
    return graph
