"""The signature of a node: nodes that share it cost the same, so one of them is measured for all."""

import hashlib

import onnx

from chrion_graph.graph import Graph, Shapes
from chrion_graph.rename import renamed


def signature(graph: Graph, index: int, shapes: Shapes) -> str:
    """Operator, attributes, and types and shapes of what the node reads and writes, as `Op-hash`."""
    node = graph.nodes[index]
    sha = hashlib.sha256(f"{node.domain}|{node.op_type}|{_opset(graph.model, node.domain)}".encode())
    places = {name: f"chrion.r{place}" for place, name in enumerate(graph.reads[index])}
    for attribute in sorted(renamed(node, places).attribute, key=lambda item: item.name):
        sha.update(attribute.SerializeToString(deterministic=True))
    for name in (*node.input, "|", *graph.reads[index], "|", *node.output):
        sha.update(_describe(graph, name, shapes).encode())
    return f"{node.op_type}-{sha.hexdigest()[:16]}"


def signatures(graph: Graph, shapes: Shapes) -> tuple[str, ...]:
    """The signature of every node."""
    return tuple(signature(graph, index, shapes) for index in range(len(graph.nodes)))


def _describe(graph: Graph, name: str, shapes: Shapes) -> str:
    if name in graph.constants:
        tensor = graph.constants[name]
        return f"constant {tensor.data_type} {list(tensor.dims)};"
    kind = graph.types.get(name)
    return f"{kind.element if kind else name and '?'} {list(shapes.get(name, ()))};"


def _opset(model: onnx.ModelProto, domain: str) -> int:
    return next((entry.version for entry in model.opset_import if entry.domain == domain), 0)
