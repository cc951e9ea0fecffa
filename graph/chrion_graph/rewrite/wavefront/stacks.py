"""Find stacks of recurrent layers: each reads the time steps of the one below it through nodes that only reshape."""

from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from onnx import NodeProto, helper

from chrion_graph.attributes import integer
from chrion_graph.graph import Graph
from chrion_graph.recurrent import SEQUENCE_LENS, direction, is_recurrent, optional_input
from chrion_graph.rewrite.wavefront.lengths import OLDEST_OPSET as LENGTHS_OPSET

GLUE = ("Identity", "Transpose", "Squeeze", "Unsqueeze", "Reshape")
OLDEST_OPSET = 10
"""Of what the chunks are cut with: Slice with bounds as inputs, Mod."""


@dataclass(frozen=True)
class Glue:
    """A node between two layers that treats every time step alike, so that it can run on chunks."""

    index: int
    axis: int
    """The time axis of what it writes."""
    shape: tuple[int, ...] | None = None
    """For a Reshape, the shape to ask for on a chunk of any length."""


@dataclass(frozen=True)
class StackedLayer:
    """A recurrent node of one direction, and the way to it from the layer below; none for the lowest."""

    index: int
    glue: tuple[Glue, ...] = ()


Stack = tuple[StackedLayer, ...]
"""Two layers or more, the lowest first."""


def find_stacks(graph: Graph) -> list[Stack]:
    """Every stack, in the order of their lowest layers; a layer is in one at most."""
    above: dict[int, StackedLayer] = {}
    upper: set[int] = set()
    layers = [index for index in range(len(graph.nodes)) if _one_direction(graph, index)]
    for index in layers:
        found = _below(graph, index)
        # Where two layers read one, the first of them is stacked on it.
        if found and found[0] not in above:
            above[found[0]] = StackedLayer(index, found[1])
            upper.add(index)
    stacks = [tuple(_upwards(index, above)) for index in layers if index not in upper]
    return [stack for stack in stacks if len(stack) > 1]


def known_steps(graph: Graph, stack: Stack) -> int | None:
    """The length of the time axis; None where it is open."""
    shape = graph.types[graph.nodes[stack[0].index].input[0]].shape
    return shape[0] if shape and isinstance(shape[0], int) else None


def _upwards(lowest: int, above: dict[int, StackedLayer]) -> Iterator[StackedLayer]:
    layer: StackedLayer | None = StackedLayer(lowest)
    while layer:
        yield layer
        layer = above.get(layer.index)


def _one_direction(graph: Graph, index: int) -> bool:
    node = graph.nodes[index]
    return (
        is_recurrent(node)
        and graph.opset >= OLDEST_OPSET
        and direction(node) in (b"forward", b"reverse")
        and integer(node, "hidden_size", 0) > 0
        and not integer(node, "layout", 0)
        # A reverse layer begins at each sequence's own end, which no chunk can.
        and (
            not optional_input(node, SEQUENCE_LENS) or (direction(node) == b"forward" and graph.opset >= LENGTHS_OPSET)
        )
        and all(name in graph.types for name in (node.input[0], *graph.writes[index]))
    )


def _below(graph: Graph, index: int) -> tuple[int, tuple[Glue, ...]] | None:
    """The layer whose steps this one reads, in the same direction, and the glue between them."""
    name, path = graph.nodes[index].input[0], list[int]()
    while (source := graph.producer.get(name)) is not None:
        node = graph.nodes[source]
        if is_recurrent(node):
            alike = _one_direction(graph, source) and direction(node) == direction(graph.nodes[index])
            glue = _glue(graph, path[::-1]) if alike and name == node.output[0] else None
            return None if glue is None else (source, glue)
        if node.op_type not in GLUE or node.domain or node.output[0] not in graph.types:
            return None
        path.append(source)
        name = node.input[0]
    return None


def _glue(graph: Graph, path: list[int]) -> tuple[Glue, ...] | None:
    """The nodes of a path from Y to X; None where one of them mixes time steps or time does not end up in front."""
    found = []
    axis, rank = 0, 4
    for index in path:
        step = _step(graph, index, axis, rank)
        if step is None:
            return None
        glue, rank = step
        axis = glue.axis
        found.append(glue)
    return tuple(found) if (axis, rank) == (0, 3) else None


def _step(graph: Graph, index: int, axis: int, rank: int) -> tuple[Glue, int] | None:
    """One node of the path, which reads time at `axis` of `rank` axes, and the rank of what it writes."""
    node = graph.nodes[index]
    if node.op_type == "Identity":
        return Glue(index, axis), rank
    if node.op_type == "Transpose":
        order = _attribute(node, "perm") or list(reversed(range(rank)))
        return Glue(index, order.index(axis)), rank
    if node.op_type == "Reshape":
        shape = _chunk_shape(graph, node, axis)
        return (Glue(index, axis, shape), len(shape)) if shape else None
    axes = _attribute(node, "axes") or (_integers(graph, node.input[1]) if len(node.input) > 1 else None)
    if not axes:
        return None
    if node.op_type == "Squeeze":
        gone = {at % rank for at in axes}
        return None if axis in gone else (Glue(index, axis - sum(at < axis for at in gone)), rank - len(gone))
    rank += len(axes)
    new = {at % rank for at in axes}
    return Glue(index, [at for at in range(rank) if at not in new][axis]), rank


def _chunk_shape(graph: Graph, node: NodeProto, axis: int) -> tuple[int, ...] | None:
    """The shape that does the same to a chunk; None unless time and all axes before it stay as they are."""
    shape = _integers(graph, node.input[1])
    before, after = (
        graph.types[name].shape if name in graph.types else None for name in (node.input[0], node.output[0])
    )
    if shape is None or len(shape) <= axis or _attribute(node, "allowzero"):
        return None
    for at in range(axis + 1):
        same = before and after and before[at] is not None and before[at] == after[at]
        if shape[at] != 0 and not same:
            return None
    # A zero copies the axis, whatever its length.
    return (*[0] * (axis + 1), *shape[axis + 1 :])


def _attribute(node: NodeProto, name: str) -> list[int] | None:
    """An attribute of integers as a list; an empty one for a single zero."""
    value = next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), None)
    return value if value is None or isinstance(value, list) else [value] if value else []


def _integers(graph: Graph, name: str) -> list[int] | None:
    """A constant of integers; None for anything else."""
    tensor = graph.constants.get(name)
    if tensor is None or tensor.data_location == onnx.TensorProto.EXTERNAL:
        return None
    return [int(value) for value in onnx.numpy_helper.to_array(tensor).ravel()]
