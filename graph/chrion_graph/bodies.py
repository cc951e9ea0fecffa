"""Control-flow bodies: the graphs inside If, Loop and Scan nodes, and the values they capture from outside."""

from collections.abc import Iterator

import onnx


def bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The control-flow bodies that are attributes of one node."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs


def all_bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The same with the bodies inside those bodies, however deep."""
    for body in bodies(node):
        yield body
        for inner in body.node:
            yield from all_bodies(inner)


def node_reads(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads: its inputs, and the values that its bodies capture."""
    yield from (name for name in node.input if name)
    for body in bodies(node):
        yield from captured(body)


def captured(body: onnx.GraphProto) -> Iterator[str]:
    """The values that a control-flow body takes from outside without naming them as inputs."""
    local = {value.name for value in body.input} | {tensor.name for tensor in body.initializer}
    local |= {sparse.values.name for sparse in body.sparse_initializer}
    local |= {name for node in body.node for name in node.output}
    for node in body.node:
        yield from (name for name in node_reads(node) if name not in local)
    yield from (value.name for value in body.output if value.name not in local)
