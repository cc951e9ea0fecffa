"""The registry of rewrites: exact transformations of a graph, each replayable from its name and parameters."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol, runtime_checkable

from chrion_api import Rewrite
from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.rewrite import (
    hoist,
    inline_ifs,
    join_steps,
    reroll,
    reset_after,
    split_directions,
    unroll,
    wavefront,
)

MOST_WAYS = 8
"""Ways to rewrite one graph that are looked at: each is profiled, planned and perhaps measured."""


class Replayed(Protocol):
    """A module that holds one rewrite, as far as replaying it from a plan goes."""

    NAME: str
    """What plans call it."""
    PLACE: int
    """Where it stands in the order in which rewrites are applied, as each may open the way for the next."""
    SUPERSEDES: bool
    """Whether all later ones go on from what it makes, and none from the graph without it."""
    APART: bool
    """Whether it takes recurrent layers apart, so that lanes can share them."""

    def apply(self, graph: Graph, parameters: Mapping[str, Any]) -> Graph:
        """The rewritten graph. Raises RewriteError where the parameters do not fit."""


class Rewriter(Replayed, Protocol):
    """A module that holds a rewrite which any graph may gain by."""

    def propose(self, graph: Graph) -> Iterator[Mapping[str, Any]]:
        """Parameters with which the rewrite applies to this graph, the most promising first; none where it does not."""


@runtime_checkable
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

_MODULES: tuple[Rewriter | Substitute, ...] = (
    hoist,
    inline_ifs,
    join_steps,
    reroll,
    reset_after,
    split_directions,
    unroll,
    wavefront,
)

REWRITES = {module.NAME: module for module in sorted(_MODULES, key=lambda module: module.PLACE)}
"""All rewrites, in the order in which they are applied."""


def keeps_layers(rewrites: Iterable[Rewrite]) -> bool:
    """Whether recurrent layers are whole after some rewrites, as far as they were before."""
    return not any(REWRITES[rewrite.name].APART for rewrite in rewrites)


def none_refused(graph: Graph, nodes: Sequence[int]) -> Collection[int]:
    """The refusals of a device that takes every node."""
    del graph, nodes
    return ()


def ways(graph: Graph, refused: Refusals = none_refused) -> tuple[Way, ...]:
    """The graph as it is, and up to MOST_WAYS - 1 that differ from it and from one another, the most promising first.

    A rewrite that supersedes is applied to the only way there is so far. Every other is tried on all ways so far, on
    what has been rewritten most first, and adds to them. None is applied whose result is not looked at.

    `refused` is asked about nodes that a Substitute could put others in the place of, which more devices have.
    """
    return tuple(islice(_distinct(_ways(graph, refused)), MOST_WAYS))


def _ways(graph: Graph, refused: Refusals) -> Iterator[Way]:
    unchanged: Way = (), graph
    yield unchanged
    found: Iterable[Way] = (unchanged,)
    for module in REWRITES.values():
        found = _further(module, found, refused)
    yield from found


def _further(module: Rewriter | Substitute, found: Iterable[Way], refused: Refusals) -> Iterator[Way]:
    """All ways so far, and then each of them rewritten further; only rewritten, where the rewrite supersedes."""
    seen = []
    for way in found:
        if module.SUPERSEDES:
            yield next(_each(module, way, refused), way)
        else:
            seen.append(way)
            yield way
    for way in sorted(seen, key=lambda way: -len(way[0])):
        yield from _each(module, way, refused)


def _each(module: Rewriter | Substitute, way: Way, refused: Refusals) -> Iterator[Way]:
    before, start = way
    for parameters in _proposed(module, start, refused):
        rewrite = Rewrite(name=module.NAME, parameters=dict(parameters))
        yield (*before, rewrite), module.apply(start, rewrite.parameters)


def _proposed(module: Rewriter | Substitute, graph: Graph, refused: Refusals) -> Iterator[Mapping[str, Any]]:
    if not isinstance(module, Substitute):
        return module.propose(graph)
    possible = module.candidates(graph)
    return module.propose(graph, refused(graph, possible) if possible else ())


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
            raise RewriteError(
                f'rewrite "{rewrite.name}" is unknown; this version has {", ".join(REWRITES)}: plan again with it'
            )
        graph = module.apply(graph, rewrite.parameters)
    return graph
