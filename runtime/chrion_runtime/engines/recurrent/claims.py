"""Which nodes of a graph the kernels take: every recurrent layer, grown by what is around it that is but a view."""

from collections.abc import Iterator

from chrion_graph.graph import Graph
from chrion_graph.recurrent import is_recurrent
from chrion_graph.rewrite.support.reading import Reading
from chrion_runtime.engines.recurrent.reading import NoStack, read_stack

_VIEWS = frozenset({"Concat", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"})


def claimed(graph: Graph) -> list[frozenset[int]]:
    """The stacks of a graph, as many nodes as each can have; no node is in two."""
    reading = Reading(graph)
    found: list[frozenset[int]] = []
    taken: set[int] = set()
    for index, node in enumerate(graph.nodes):
        if is_recurrent(node) and index not in taken and _is_stack(graph, {index}, reading):
            stack = _grown(graph, index, taken, reading)
            taken |= stack
            found.append(stack)
    return found


def is_stack(graph: Graph, nodes: frozenset[int]) -> bool:
    """Whether the kernels run just these nodes as one."""
    return _is_stack(graph, set(nodes), Reading(graph))


def lacking(reading: Reading, node: int) -> str:
    """What a recurrent node of a graph has that the kernels have not; empty where they take it."""
    try:
        read_stack(reading.graph, {node}, reading)
    except NoStack as error:
        return str(error) or "a form that the kernels do not read"
    return ""


def _is_stack(graph: Graph, nodes: set[int], reading: Reading) -> bool:
    try:
        read_stack(graph, nodes, reading)
    except NoStack:
        return False
    return True


def _grown(graph: Graph, start: int, taken: set[int], reading: Reading) -> frozenset[int]:
    """A layer with all around it that can go with it: layers on top first, then what else is a view."""
    nodes = {start}
    while added := next(_extensions(graph, nodes, taken, reading), None):
        nodes |= added
    return frozenset(nodes)


def _extensions(graph: Graph, nodes: set[int], taken: set[int], reading: Reading) -> Iterator[set[int]]:
    """Nodes to add so that all is a stack again: a view, or a layer on top with the views before it."""
    for neighbour in sorted(_neighbours(graph, nodes) - taken):
        node = graph.nodes[neighbour]
        if not (node.op_type in _VIEWS or is_recurrent(node)):
            continue
        for added in ({neighbour}, *_on_top(graph, neighbour, nodes | taken)):
            if _is_convex(graph, nodes | added) and _is_stack(graph, nodes | added, reading):
                yield added


def _on_top(graph: Graph, view: int, taken: set[int]) -> Iterator[set[int]]:
    """A chain of views that ends in a layer: one by one they may be no stack, since a part of them is none."""
    chain = {view}
    while True:
        following = {after for name in graph.writes[max(chain)] for after in graph.consumers.get(name, ())} - taken
        if len(following) != 1:
            return
        (after,) = following
        chain.add(after)
        if is_recurrent(graph.nodes[after]):
            yield chain
            return
        if graph.nodes[after].op_type not in _VIEWS:
            return


def _neighbours(graph: Graph, nodes: set[int]) -> set[int]:
    """Nodes that make what these read, or read what these make."""
    before = {graph.producer[name] for node in nodes for name in graph.reads[node] if name in graph.producer}
    after = {other for node in nodes for name in graph.writes[node] for other in graph.consumers.get(name, ())}
    return (before | after) - nodes


def _is_convex(graph: Graph, nodes: set[int]) -> bool:
    """Whether no way leads out of these nodes and back: as one stage they would wait for themselves."""
    last = max(nodes)
    outside = [other for other in _neighbours(graph, nodes) if other > min(nodes)]
    reached = {other for other in outside if any(graph.producer.get(name) in nodes for name in graph.reads[other])}
    waiting = list(reached)
    while waiting:
        for name in graph.writes[waiting.pop()]:
            for after in graph.consumers.get(name, ()):
                if after in nodes:
                    return False
                if after < last and after not in reached:
                    reached.add(after)
                    waiting.append(after)
    return True
