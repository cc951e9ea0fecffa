"""The graph with its unrolled layers as layers again: what every plan goes on from."""

from typing import NamedTuple

from chrion_graph.graph import Graph
from chrion_graph.recurrent import is_recurrent
from chrion_graph.rewrite import REWRITES, Substitute


class Rolled(NamedTuple):
    """A graph after the rewrites that all later ones go on from."""

    graph: Graph
    made: dict[str, str]
    """The rewrite that made a recurrent node, by the first value that the node makes."""
    gone: int
    """Nodes of the graph in whose place they are."""


def rolled(graph: Graph) -> Rolled:
    """Apply the rewrites that supersede, as planning does; large new weights are written beside the graph's own."""
    made: dict[str, str] = {}
    now = graph
    for module in REWRITES.values():
        if isinstance(module, Substitute) or not module.SUPERSEDES:
            continue
        if parameters := next(module.propose(now), None):
            before = layer_values(now)
            now = module.apply(now, parameters)
            made.update(dict.fromkeys(layer_values(now) - before, module.NAME))
    return Rolled(now, made, len(graph.nodes) - len(now.nodes) + len(made))


def layer_values(graph: Graph) -> set[str]:
    """The first value that each recurrent node makes."""
    return {graph.writes[index][0] for index, node in enumerate(graph.nodes) if is_recurrent(node)}
