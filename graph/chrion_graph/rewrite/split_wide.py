"""Split wide: cut a large product or convolution into parts that can run side by side.

A MatMul or Gemm with constant weights is cut by the columns of its output, a Conv by its output channels; one in groups
that the parts divide is cut by groups, and its input with it. Each part computes what it did before, and a Concat puts
the parts together (tensor parallelism by columns: Shoeybi et al., Megatron-LM, arXiv 1909.08053, section 3).
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import onnx
from onnx import NodeProto, helper

from chrion_graph.attributes import integer
from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.rewrite.support.constants import Constants
from chrion_graph.rewrite.support.reading import Reading
from chrion_graph.rewrite.support.rebuild import rebuilt
from chrion_graph.types import TensorType, tensor_bytes

NAME = "split-wide"

LEAST_BYTES = {"MatMul": 256 << 10, "Gemm": 256 << 10, "Conv": 1 << 20}
"""Weights from which on a node is proposed."""
MOST_NODES = 32
"""Nodes that are proposed, those with the largest weights."""
MOST_READERS = 4
"""Weights that more nodes read belong to the steps of an unrolled layer: each is short and waits for the last."""

_COLUMNS = 16
"""Parts of a product begin at multiples of this, which vector units work on at once."""


def propose(graph: Graph) -> Iterator[Mapping[str, Any]]:
    """The nodes with the largest weights, in two parts each, as `{"nodes": [indices], "parts": 2}`."""
    reading = Reading(graph)
    sizes = {index: size for index in range(len(graph.nodes)) if (size := _large(reading, index))}
    widest = sorted(sizes, key=lambda index: (-sizes[index], index))[:MOST_NODES]
    chosen = [index for index in sorted(widest) if _cuts(reading, index, 2)]
    if chosen:
        yield {"nodes": chosen, "parts": 2}


def apply(graph: Graph, parameters: Mapping[str, Any]) -> Graph:
    """Cut the named nodes. Raises RewriteError where one cannot be cut so, WriteFailed if weights cannot be kept."""
    chosen, parts = parameters.get("nodes"), parameters.get("parts")
    if not isinstance(parts, int) or parts < 2:
        raise RewriteError(f"{NAME}: {parts} is no number of parts; it is 2 or more")
    reading, cuts = Reading(graph), dict[int, tuple[int, ...]]()
    for index in chosen if isinstance(chosen, list) else ():
        if isinstance(index, int) and 0 <= index < len(graph.nodes):
            cuts[index] = _cuts(reading, index, parts)
    if not cuts or len(cuts) != len(chosen or ()) or not all(cuts.values()):
        raise RewriteError(f"{NAME}: nodes {chosen} are not products or convolutions that {parts} parts divide")
    splitter, nodes = _Splitter(reading), list[NodeProto]()
    for index, node in enumerate(graph.nodes):
        nodes.extend(splitter.split(node, cuts[index]) if index in cuts else [node])
    splitter.constants.save()
    return rebuilt(graph, nodes, splitter.constants.tensors, splitter.infos)


def _large(reading: Reading, index: int) -> int:
    """The bytes of a node's weights; 0 for one that is not worth cutting."""
    node = reading.graph.nodes[index]
    weight = reading.constants.get(node.input[1]) if node.op_type in LEAST_BYTES else None
    if weight is None or len(reading.graph.consumers[weight.name]) > MOST_READERS:
        return 0
    size = tensor_bytes(weight.data_type, tuple(weight.dims))
    return size if size >= LEAST_BYTES[node.op_type] else 0


def _cuts(reading: Reading, index: int, parts: int) -> tuple[int, ...]:
    """Where the parts of a node's output begin and end along its last axis or its channels; none where it is whole."""
    node = reading.graph.nodes[index]
    if node.op_type not in LEAST_BYTES or node.domain not in ("", "ai.onnx") or len(node.input) < 2:
        return ()
    weight = reading.constants.get(node.input[1])
    kind = reading.graph.types.get(node.output[0])
    if weight is None or kind is None or not kind.shape or (node.op_type != "Conv" and len(weight.dims) != 2):
        return ()
    groups = integer(node, "group", 1)
    if groups % parts and groups > 1:
        return ()
    bias = node.input[2] if len(node.input) > 2 else ""
    if bias and (bias not in reading.constants or not reading.constants[bias].dims):
        return ()
    width = weight.dims[_axis(node)]
    unit = max(width // groups if groups > 1 else 1, 1) if node.op_type == "Conv" else _COLUMNS
    cuts = (0, *(width * part // parts // unit * unit for part in range(1, parts)), width)
    return cuts if all(start < end for start, end in pairwise(cuts)) else ()


def _axis(node: NodeProto) -> int:
    """The axis of a node's weights along which its output's columns or channels lie."""
    return 1 if node.op_type == "MatMul" or (node.op_type == "Gemm" and not integer(node, "transB", 0)) else 0


class _Splitter:
    """Writes the parts of nodes; nodes that share weights share their parts."""

    def __init__(self, reading: Reading) -> None:
        self.constants = Constants(reading.graph.folder)
        self.infos: list[onnx.ValueInfoProto] = []
        self._reading = reading
        self._parts: dict[tuple[str, int, int, int], str] = {}

    def split(self, node: NodeProto, cuts: tuple[int, ...]) -> Iterator[NodeProto]:
        """The nodes that take the place of `node`."""
        output, count, groups = node.output[0], len(cuts) - 1, integer(node, "group", 1)
        axis = 1 if node.op_type == "Conv" else len(self._reading.graph.types[output].shape or ()) - 1
        values = [node.input[0]] * count
        if groups > 1:
            values = [f"{output}/from{part}" for part in range(count)]
            yield self._channels(node, values, groups)
        outputs = [f"{output}/part{part}" for part in range(count)]
        for part, (start, end) in enumerate(pairwise(cuts)):
            piece = NodeProto()
            piece.CopyFrom(node)
            piece.name = node.name and f"{node.name}/{part}"
            weight = self._part(node.input[1], _axis(node), start, end)
            bias = [self._bias(name, start, end) for name in node.input[2:]]
            piece.input[:], piece.output[:] = [values[part], weight, *bias], [outputs[part]]
            for attribute in piece.attribute:
                if attribute.name == "group":
                    attribute.i = groups // count if groups > 1 else 1
            self._declare(output, outputs[part], axis, end - start)
            yield piece
        yield helper.make_node("Concat", outputs, [output], axis=axis)

    def _channels(self, node: NodeProto, values: list[str], groups: int) -> NodeProto:
        """The input's channels for each part."""
        channels = self._reading.constants[node.input[1]].dims[1] * groups // len(values)
        for name in values:
            self._declare(node.input[0], name, 1, channels)
        attributes: dict[str, Any] = {"num_outputs": len(values)} if self._reading.graph.opset >= 18 else {}
        return helper.make_node("Split", [node.input[0]], values, axis=1, **attributes)

    def _bias(self, name: str, start: int, end: int) -> str:
        """The part of a bias that is added to these columns."""
        dims = self._reading.constants[name].dims if name else ()
        return self._part(name, len(dims) - 1, start, end) if dims and dims[-1] > 1 else name

    def _part(self, name: str, axis: int, start: int, end: int) -> str:
        """Rows of a constant lie side by side and are referred to; columns are copied."""
        key = (name, axis, start, end)
        if key not in self._parts:
            whole, part = self._reading.constants[name], f"{name}/{start}:{end}"
            if axis == 0:
                self._parts[key] = self.constants.rows(part, whole, start, end)
            else:
                self._parts[key] = self.constants.add(part, self._reading.array(name)[:, start:end])
        return self._parts[key]

    def _declare(self, whole: str, name: str, axis: int, size: int) -> None:
        kind = self._reading.graph.types.get(whole)
        if kind is not None:
            shape = kind.shape and (*kind.shape[:axis], size, *kind.shape[axis + 1 :])
            self.infos.append(helper.make_value_info(name, TensorType(kind.element, shape).to_proto()))
