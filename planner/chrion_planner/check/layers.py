"""The recurrent layers of a graph, those inside control flow too, and what keeps Chrion's kernels from running each."""

from collections.abc import Iterator, Mapping

import onnx
from onnx import NodeProto, TensorProto

from chrion_graph.attributes import integer
from chrion_graph.bodies import bodies
from chrion_graph.graph import Graph
from chrion_graph.recurrent import R, W, X, direction, is_recurrent, optional_input
from chrion_graph.rewrite.support.reading import Reading
from chrion_graph.types import element_name
from chrion_planner.check.contents import QUANTISED, node_name
from chrion_planner.check.report import Axes, LayerCheck
from chrion_runtime.engines.recurrent.claims import lacking


def layers(graph: Graph, made: Mapping[str, str], missing: bool) -> tuple[LayerCheck, ...]:
    """Every recurrent layer in the graph's order; `made` names the rewrite that made it, by the first value it makes.

    `missing` says that Chrion's kernels are not here.
    """
    reading = Reading(graph)
    found = []
    for index, node in enumerate(graph.nodes):
        if is_recurrent(node):
            rewrite = made.get(graph.writes[index][0], "")
            why_not = lacking(reading, index) or ("no kernels here" if missing else "")
            found.append(_layer(graph, node, {}, why_not, made_by=rewrite))
        elif _is_layer(node):
            found.append(_layer(graph, node, {}, "8-bit weights"))
        for body in bodies(node):
            inside = f"{node.op_type} {node_name(node)}"
            found.extend(_layer(graph, *one, f"inside {node.op_type}", inside=inside) for one in _within(body))
    return tuple(found)


def _is_layer(node: NodeProto) -> bool:
    return is_recurrent(node) or node.op_type == QUANTISED


def _within(body: onnx.GraphProto) -> Iterator[tuple[NodeProto, Mapping[str, TensorProto]]]:
    """The layers in a body, however deep, each with the constants beside it."""
    constants = {tensor.name: tensor for tensor in body.initializer}
    for node in body.node:
        if _is_layer(node):
            yield node, constants
        for inner in bodies(node):
            yield from _within(inner)


def _layer(
    graph: Graph,
    node: NodeProto,
    constants: Mapping[str, TensorProto],
    lacking: str,
    made_by: str = "",
    inside: str = "",
) -> LayerCheck:
    weights, recurrence = (_kept(graph, optional_input(node, place), constants) for place in (W, R))
    kept_as = element_name(weights.data_type) if weights is not None else ""
    if lacking and not inside and kept_as not in ("", "float32"):
        lacking = f"{kept_as} weights"
    steps, batch = _steps_and_batch(graph, node)
    return LayerCheck(
        kind=node.op_type,
        name=node_name(node),
        direction=direction(node).decode(errors="replace"),
        inputs=_inputs(weights) if is_recurrent(node) else None,
        hidden=integer(node, "hidden_size", 0) or _inputs(recurrence),
        steps=steps,
        batch=batch,
        weights=kept_as,
        made_by=made_by,
        inside=inside,
        lacking=lacking,
    )


def _kept(graph: Graph, name: str, constants: Mapping[str, TensorProto]) -> TensorProto | None:
    """A constant, or the one that a node casts or dequantises into this value: ONNX Runtime casts what is float16."""
    source = graph.producer.get(name)
    if source is not None and graph.nodes[source].op_type in ("Cast", "DequantizeLinear"):
        name = graph.nodes[source].input[0]
    return constants.get(name, graph.constants.get(name))


def _inputs(weights: TensorProto | None) -> int | None:
    """What a matrix of weights, [directions, gates, inputs], multiplies."""
    return weights.dims[2] if weights is not None and len(weights.dims) == 3 else None


def _steps_and_batch(graph: Graph, node: NodeProto) -> Axes:
    kind = graph.types.get(node.input[X])
    return kind.shape[:2] if kind is not None and kind.shape is not None and len(kind.shape) == 3 else (None, None)
