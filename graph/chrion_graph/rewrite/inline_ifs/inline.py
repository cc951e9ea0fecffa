"""Put the branches that run in the place of their Ifs."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx
from onnx import NodeProto, TensorProto, helper

from chrion_graph.bodies import node_reads
from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.rename import renamed
from chrion_graph.rewrite.support.rebuild import rebuilt
from chrion_graph.types import TensorType

NAME = "inline-ifs"
PLACE, SUPERSEDES, APART = 0, False, False
"""First of all: others may rewrite what the branches hold."""

Branches = Sequence[tuple[str, bool]]
"""The conditions of Ifs that are decided, by the names of their values, and what they are."""


def propose(graph: Graph) -> Iterator[Mapping[str, Any]]:
    """Nothing: which Ifs are decided depends on the bucket, and is for `decided` to say."""
    del graph
    yield from ()


def apply(graph: Graph, parameters: Mapping[str, Any]) -> Graph:
    """Inline the decided Ifs. Raises RewriteError where one is not there."""
    branches, types = parameters.get("branches"), parameters.get("types", {})
    if not (
        isinstance(branches, list)
        and branches
        and all(isinstance(each, list) and len(each) == 2 and isinstance(each[1], bool) for each in branches)
        and isinstance(types, dict)
    ):
        raise RewriteError(f"{NAME}: branches {branches} are not conditions with what they are")
    infos = []
    for name, kind in types.items():
        try:
            element, shape = kind
            infos.append(helper.make_value_info(name, TensorType(int(element), shape).to_proto()))
        except (TypeError, ValueError):
            raise RewriteError(f"{NAME}: types.{name}: {kind} is not an element type and a shape") from None
    return inlined(graph, [(str(name), taken) for name, taken in branches], infos)


def inlined(graph: Graph, branches: Branches, infos: Sequence[onnx.ValueInfoProto] = ()) -> Graph:
    """The graph with decided Ifs inlined, those inside their branches too; `infos` are types of values inside.

    Raises RewriteError where it has no such If.
    """
    inliner = _Inliner(dict(branches), frozenset(graph.outputs))
    nodes = inliner.inline(graph.nodes)
    if missing := inliner.branches.keys() - inliner.found:
        raise RewriteError(f"{NAME}: no If of this graph has the condition {', '.join(sorted(missing))}")
    return rebuilt(graph, nodes, inliner.tensors, infos)


@dataclass
class _Inliner:
    branches: Mapping[str, bool]
    outputs: frozenset[str]
    """Those of the graph, which keep their names."""
    tensors: list[TensorProto] = field(default_factory=list)
    """Constants of the branches."""
    found: set[str] = field(default_factory=set)
    """Conditions of which an If was inlined."""
    _called: dict[str, str] = field(default_factory=dict)
    """What values are called that an If only passed on."""

    def inline(self, nodes: Sequence[NodeProto]) -> list[NodeProto]:
        """The nodes, with what runs of the decided Ifs in their places."""
        made: list[NodeProto] = []
        waiting = deque(nodes)
        while waiting:
            node = waiting.popleft()
            if not self._called.keys().isdisjoint(node_reads(node)):
                node = _renamed(node, self._called)
            if node.op_type == "If" and node.input[0] in self.branches:
                self.found.add(node.input[0])
                waiting.extendleft(reversed(self._branch(node)))
            elif node.op_type == "Identity" and node.output[0] not in self.outputs:
                self._called[node.output[0]] = node.input[0]
            else:
                made.append(node)
        return made

    def _branch(self, node: NodeProto) -> list[NodeProto]:
        """The nodes of the branch that runs, their values under names that no others have."""
        wanted = "then_branch" if self.branches[node.input[0]] else "else_branch"
        body = next(attribute.g for attribute in node.attribute if attribute.name == wanted)
        within = next(filter(None, node.output))
        stored = {tensor.name for tensor in body.initializer}
        made = {name for inner in body.node for name in inner.output if name}
        names = {name: f"{within}/{name}" for name in stored | made}
        copies = []
        for output, value in zip(node.output, body.output, strict=True):
            if output and value.name in made and names[value.name] == f"{within}/{value.name}":
                names[value.name] = output
            elif output in self.outputs:
                copies.append(helper.make_node("Identity", [names.get(value.name, value.name)], [output]))
            elif output:
                self._called[output] = names.get(value.name, value.name)
        for tensor in body.initializer:
            own = TensorProto()
            own.CopyFrom(tensor)
            own.name = names[tensor.name]
            self.tensors.append(own)
        return [*(_renamed(inner, names) for inner in body.node), *copies]


def _renamed(node: NodeProto, names: Mapping[str, str]) -> NodeProto:
    found = renamed(node, dict(names))
    found.name = node.name
    return found
