"""The signature of a node: nodes that share it cost the same, so one of them is measured for all."""

import hashlib
from collections.abc import Collection

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
    """The signature of every node; nodes that cannot be parted share that of their unit, and its costs."""
    found = []
    of_units: dict[tuple[int, ...], str] = {}
    for index in range(len(graph.nodes)):
        unit = graph.unit(index)
        if len(unit) == 1:
            found.append(signature(graph, index, shapes))
        else:
            if unit not in of_units:
                of_units[unit] = part_signature(graph, unit, shapes)
            found.append(of_units[unit])
    return tuple(found)


def part_signature(graph: Graph, nodes: Collection[int], shapes: Shapes) -> str:
    """What tells some nodes that run as one from others: their signatures, and which reads what of which."""
    order = sorted(nodes)
    made = {name: f"{at}.{place}" for at, node in enumerate(order) for place, name in enumerate(graph.writes[node])}
    sha = hashlib.sha256()
    for node in order:
        joints = ",".join(made.get(name, "-") for name in graph.reads[node])
        needed = ",".join(
            str(place)
            for place, name in enumerate(graph.writes[node])
            if name in graph.outputs or not set(graph.consumers.get(name, ())) <= set(order)
        )
        sha.update(f"{signature(graph, node, shapes)}|{joints}|{needed};".encode())
    return f"part-{sha.hexdigest()[:16]}"


def _describe(graph: Graph, name: str, shapes: Shapes) -> str:
    if name in graph.constants:
        tensor = graph.constants[name]
        return f"constant {tensor.data_type} {list(tensor.dims)};"
    kind = graph.types.get(name)
    return f"{kind.element if kind else name and '?'} {list(shapes.get(name, ()))};"


def _opset(model: onnx.ModelProto, domain: str) -> int:
    return next((entry.version for entry in model.opset_import if entry.domain == domain), 0)
