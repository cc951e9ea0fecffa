"""Split each bidirectional LSTM, GRU or RNN into a forward and a reverse one that can run side by side.

Both directions of a layer read the same input and meet only where their outputs are put together (ONNX operators
LSTM, GRU and RNN: the axis `num_directions`), so the split is exact.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import onnx
from onnx import NodeProto, TensorProto, helper

from chrion_graph.attributes import integer
from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.recurrent import SEQUENCE_LENS, X, direction, is_recurrent
from chrion_graph.rewrite.support.constants import Constants
from chrion_graph.rewrite.support.rebuild import rebuilt
from chrion_graph.types import TensorType

NAME = "split-directions"
PLACE, SUPERSEDES, APART = 50, False, True
"""Before wavefront, which cuts layers of one direction."""

_SHARED = (X, SEQUENCE_LENS)
"""Inputs that both directions share; every other has one slice a direction, on axis 0."""
_OUTPUT_AXIS = (1, 0, 0)
"""The axis of directions in Y, Y_h and Y_c."""


def propose(graph: Graph) -> Iterator[Mapping[str, Any]]:
    """All bidirectional nodes that can be split, as `{"nodes": [indices]}`."""
    nodes = [index for index in range(len(graph.nodes)) if _splittable(graph, index)]
    if nodes:
        yield {"nodes": nodes}


def apply(graph: Graph, parameters: Mapping[str, Any]) -> Graph:
    """Split the named nodes. Raises RewriteError where one of them is not a bidirectional recurrent node."""
    chosen = parameters.get("nodes")
    if not isinstance(chosen, list) or not all(
        isinstance(index, int) and 0 <= index < len(graph.nodes) and _splittable(graph, index) for index in chosen
    ):
        raise RewriteError(f"{NAME}: nodes {chosen} are not bidirectional recurrent nodes of this graph")
    splitter, wanted, nodes = _Splitter(graph), set(chosen), list[NodeProto]()
    for index, node in enumerate(graph.nodes):
        nodes.extend(splitter.split(node) if index in wanted else [node])
    return rebuilt(graph, nodes, splitter.constants.tensors, splitter.infos)


def _splittable(graph: Graph, index: int) -> bool:
    node = graph.nodes[index]
    return (
        is_recurrent(node)
        and direction(node) == b"bidirectional"
        # Their lists run over both directions and say nothing of which activation an entry is for.
        and not {"activation_alpha", "activation_beta"} & {attribute.name for attribute in node.attribute}
        and not integer(node, "layout", 0)
        and all(name in graph.types for name in node.output if name)
    )


class _Splitter:
    """Rewrites nodes of one graph; gathers the constants and types that the new nodes need."""

    def __init__(self, graph: Graph) -> None:
        self.constants = Constants(graph.folder)
        self.infos: list[onnx.ValueInfoProto] = []
        self._graph = graph
        self._halves: dict[str, tuple[str, str]] = {}

    def split(self, node: NodeProto) -> Iterator[NodeProto]:
        """The nodes that take the place of `node`."""
        pairs = []
        for position, name in enumerate(node.input):
            if not name or position in _SHARED:
                pairs.append((name, name))
                continue
            if name not in self._halves:
                yield from self._halve(name)
            pairs.append(self._halves[name])
        wanted = [name if self._read(name) else "" for name in node.output]
        for side, way in enumerate(("forward", "reverse")):
            yield helper.make_node(
                node.op_type,
                [pair[side] for pair in pairs],
                [name and f"{name}/{way}" for name in wanted],
                **_attributes(node, side, way),
            )
        for position, name in enumerate(wanted):
            if name:
                halves = (f"{name}/forward", f"{name}/reverse")
                self._declare(name, halves, _OUTPUT_AXIS[position])
                yield helper.make_node("Concat", halves, [name], axis=_OUTPUT_AXIS[position])

    def _read(self, name: str) -> bool:
        return name in self._graph.consumers or name in self._graph.outputs

    def _halve(self, name: str) -> Iterator[NodeProto]:
        halves = (f"{name}/forward", f"{name}/reverse")
        self._halves[name] = halves
        constant = self._graph.constants.get(name)
        if constant is not None:
            for side, half in enumerate(halves):
                self.constants.rows(half, constant, side, side + 1)
            return
        self._declare(name, halves, 0)
        splits = f"{name}/splits"
        self.constants.tensors.append(helper.make_tensor(splits, TensorProto.INT64, [2], [1, 1]))
        yield helper.make_node("Split", [name, splits] if self._graph.opset >= 13 else [name], list(halves), axis=0)

    def _declare(self, whole: str, halves: tuple[str, str], axis: int) -> None:
        kind = self._graph.types[whole]
        shape = kind.shape and (*kind.shape[:axis], 1, *kind.shape[axis + 1 :])
        for half in halves:
            self.infos.append(helper.make_value_info(half, TensorType(kind.element, shape).to_proto()))


def _attributes(node: NodeProto, side: int, way: str) -> dict[str, Any]:
    found = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    found["direction"] = way
    if "activations" in found:
        half = len(found["activations"]) // 2
        found["activations"] = found["activations"][side * half : (side + 1) * half]
    return found
