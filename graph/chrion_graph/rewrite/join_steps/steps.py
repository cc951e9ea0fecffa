"""Find chains of recurrent nodes of one step: the same weights, each beginning with the states of the one before."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from onnx import NodeProto

from chrion_graph.attributes import integer
from chrion_graph.graph import Graph
from chrion_graph.recurrent import (
    INITIAL_C,
    INITIAL_H,
    SEQUENCE_LENS,
    B,
    P,
    R,
    W,
    direction,
    is_recurrent,
    optional_input,
)
from chrion_graph.rewrite.support.reading import Reading
from chrion_graph.rewrite.support.step_chains import OLDEST_OPSET, SHORTEST, without_cycles

_GLUE = ("Squeeze", "Unsqueeze", "Identity")

Made = tuple[str, int]
"""A state and the node whose step it follows: "h" (as Y or Y_h, which are the same after one step) or "c"."""


@dataclass(frozen=True, eq=False)
class NodeChain:
    """The nodes of one layer in the order in which they run."""

    graph: Graph
    order: tuple[int, ...]

    @property
    def nodes(self) -> set[int]:
        """All of them."""
        return set(self.order)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What each step reads beside its states, [1, batch, features]."""
        return tuple(self.graph.nodes[index].input[0] for index in self.order)

    @property
    def reads(self) -> set[str]:
        """All values that the layer reads."""
        shared = self.graph.nodes[self.order[0]].input[1:]
        return {name for name in (*self.inputs, *shared) if name}

    @property
    def writes(self) -> tuple[str, ...]:
        """All values that the layer provides: every hidden state in both forms, and the last cell state."""
        last = self.graph.nodes[self.order[-1]].output[2:]
        return (*self.outputs, *(name for name in last if name))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Every hidden state, in both forms."""
        return tuple(name for index in self.order for name in self.graph.nodes[index].output[:2] if name)


@dataclass(frozen=True)
class NodeChains:
    """The chains of a graph in an order in which their layers can run, and which values are states of a step."""

    chains: list[NodeChain]
    made: Mapping[str, Made]
    """Also for values that differ from a state only in axes of size 1."""


def find_steps(reading: Reading) -> NodeChains:
    """All chains that one node each can stand for at the same time."""
    if reading.graph.opset < OLDEST_OPSET:
        return NodeChains([], {})
    graph, made = reading.graph, dict[str, Made]()
    keys: dict[int, object] = {}
    for index, node in enumerate(graph.nodes):
        if node.op_type in _GLUE and node.domain in ("", "ai.onnx") and node.input[0] in made:
            made[node.output[0]] = made[node.input[0]]
        elif _one_step(reading, node):
            keys[index] = _key(node)
            made |= {name: (letter, index) for letter, name in zip("hhc", node.output, strict=False) if name}
    follower = _followers(graph, made, keys)
    later, chains = set(follower.values()), []
    for index in keys:
        order = [index]
        while index not in later and order[-1] in follower:
            order.append(follower[order[-1]])
        if len(order) >= SHORTEST:
            chains.append(NodeChain(graph, tuple(order)))
    return NodeChains(without_cycles(chains, graph), made)


def _followers(graph: Graph, made: Mapping[str, Made], keys: Mapping[int, object]) -> dict[int, int]:
    """For each node the one that goes on from its states."""
    readers = _readers_of_memory(graph, made)
    found: dict[int, int] = {}
    for index, key in keys.items():
        node = graph.nodes[index]
        letter, before = made.get(optional_input(node, INITIAL_H), ("", -1))
        # A layer gives only its last cell state: one that others read ends the chain.
        passed = made.get(optional_input(node, INITIAL_C)) == ("c", before) and readers[before] == {index}
        goes_on = letter == "h" and keys[before] == key and (node.op_type != "LSTM" or passed)
        if goes_on and before not in found:
            found[before] = index
    return found


def _readers_of_memory(graph: Graph, made: Mapping[str, Made]) -> dict[int, set[int]]:
    """For each node those that read its cell state; -1 stands for whoever reads the graph's outputs."""
    readers: dict[int, set[int]] = defaultdict(set)
    for name, (letter, index) in made.items():
        if letter == "c":
            own = (reader for reader in graph.consumers.get(name, ()) if graph.nodes[reader].op_type not in _GLUE)
            readers[index] |= {*own, -1} if name in graph.outputs else {*own}
    return readers


def _one_step(reading: Reading, node: NodeProto) -> bool:
    """Whether this is a recurrent node of one direction over one step."""
    shape = reading.shape(node.input[0]) if is_recurrent(node) else None
    return (
        shape is not None
        and len(shape) == 3
        and shape[0] == 1
        and direction(node) != b"bidirectional"
        and not integer(node, "layout", 0)
        and not optional_input(node, SEQUENCE_LENS)
    )


def _key(node: NodeProto) -> object:
    """What the nodes of one layer have in common: all but the values that differ from step to step."""
    shared = [optional_input(node, place) for place in (W, R, B, P)]
    attributes = (entry for entry in node.attribute if entry.name != "direction")
    return node.op_type, *shared, *sorted(entry.SerializeToString(deterministic=True) for entry in attributes)
