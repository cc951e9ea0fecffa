"""Chains of steps: how long one must be, and which can be layers at once, as none may need its own output first."""

from collections.abc import Collection, Sequence
from typing import Protocol, TypeVar

import networkx as nx

from chrion_graph.graph import Graph

SHORTEST = 3
"""Steps of the shortest chain that is worth a layer."""

OLDEST_OPSET = 10
"""The first opset in which Slice takes its bounds as inputs, as the new nodes are written."""


class StepChain(Protocol):
    """A chain of steps that one node is to take the place of."""

    @property
    def reads(self) -> Collection[str]:
        """All values that the layer reads."""

    @property
    def writes(self) -> Sequence[str]:
        """All values that the layer provides; their makers are replaced."""

    @property
    def outputs(self) -> Sequence[str]:
        """The hidden state after each step."""

    @property
    def nodes(self) -> Collection[int]:
        """All nodes of its steps."""


AnyChain = TypeVar("AnyChain", bound=StepChain)


def without_cycles(chains: list[AnyChain], graph: Graph) -> list[AnyChain]:
    """Leave out chains whose input at one step depends on their output at another, by themselves or together."""
    while True:
        dag = _contracted(chains, graph)
        tangled = [
            sorted((-1 - member for member in part if member < 0), reverse=True)
            for part in nx.strongly_connected_components(dag)
            if len(part) > 1 or any(dag.has_edge(member, member) for member in part)
        ]
        if not tangled:
            return [chains[-1 - member] for member in nx.topological_sort(dag) if member < 0]
        dropped: set[int] = set()
        for members in tangled:
            dropped |= {member for member in members if _feeds_itself(chains[member], graph)} or {members[0]}
        chains = [chain for position, chain in enumerate(chains) if position not in dropped]


def _contracted(chains: Sequence[StepChain], graph: Graph) -> "nx.DiGraph[int]":
    """Which node needs which when layers take the place of chains; the n-th layer is -1 - n."""
    producer = dict(graph.producer)
    for position, chain in enumerate(chains):
        producer |= dict.fromkeys(chain.writes, -1 - position)
    replaced = {graph.producer[name] for chain in chains for name in chain.writes}
    dag: nx.DiGraph[int] = nx.DiGraph()
    reads = [(index, names) for index, names in enumerate(graph.reads) if index not in replaced]
    for index, names in (*reads, *((-1 - position, sorted(chain.reads)) for position, chain in enumerate(chains))):
        dag.add_node(index)
        dag.add_edges_from((producer[name], index) for name in names if name in producer)
    return dag


def _feeds_itself(chain: StepChain, graph: Graph) -> bool:
    """Whether a chain alone reads what depends on what it makes."""
    wanted = {graph.producer[name] for name in chain.reads if name in graph.producer}
    last = max(wanted, default=-1)
    inner = chain.nodes
    open_nodes = [graph.producer[name] for name in chain.outputs]
    if wanted & set(open_nodes):
        return True
    seen: set[int] = set()
    while open_nodes:
        for name in graph.writes[open_nodes.pop()]:
            for reader in graph.consumers.get(name, ()):
                if reader in wanted:
                    return True
                if reader < last and reader not in seen and reader not in inner:
                    seen.add(reader)
                    open_nodes.append(reader)
    return False
