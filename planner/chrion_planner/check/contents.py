"""What is in a model's file: values at its edge, weights, operators, control flow, precision."""

from collections import Counter
from collections.abc import Iterable

import onnx

from chrion_graph.bodies import all_bodies, bodies
from chrion_graph.deciding import inputs_behind
from chrion_graph.load import all_nodes, all_tensors
from chrion_graph.types import UNDEFINED, TensorType, element_name, tensor_bytes
from chrion_planner.check.report import ControlFlow, EdgeValue, ModelContents

QUANTISED = "DynamicQuantizeLSTM"
"""ONNX Runtime's own LSTM with weights of 8 bits."""
_INTEGER_OPERATORS = {
    *("ConvInteger", "DynamicQuantizeLinear", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat"),
    *("QAttention", "QGemm", "QLinearConv", "QLinearMatMul", QUANTISED),
}
_DECIDING = {"If": 1, "Loop": 2}
"""How many of their first inputs say what is run."""
_FLOATS = ("float32", "float16", "bfloat16", "float64")
_FEW = 0.01
"""The part of all weights below which a type is but that of some constants."""
_NARROW = ("int4", "int8", "uint4", "uint8")


def contents(model: onnx.ModelProto) -> ModelContents:
    """What is in a model that `read_model` has checked."""
    stored = {tensor.name for tensor in model.graph.initializer}
    operators = Counter(node.op_type for node in all_nodes(model) if node.op_type != "Constant")
    weights: Counter[str] = Counter()
    for tensor in all_tensors(model):
        if (kept_as := element_name(tensor.data_type)) != UNDEFINED:
            weights[kept_as] += tensor_bytes(tensor.data_type, tuple(tensor.dims))
    inputs = tuple(_edge(value) for value in model.graph.input if value.name not in stored)
    outputs = tuple(map(_edge, model.graph.output))
    return ModelContents(
        opset=next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0),
        inputs=inputs,
        outputs=outputs,
        weight_bytes=dict(weights.most_common()),
        precision=_quantised(operators.keys(), weights) or _floats(weights, (*inputs, *outputs)),
        nodes=operators.total(),
        operators=dict(operators.most_common()),
        control_flow=control_flow(model.graph),
    )


def control_flow(graph: onnx.GraphProto) -> tuple[ControlFlow, ...]:
    """The nodes of a graph that hold graphs, with the inputs that decide what they run."""
    holding = [node for node in graph.node if any(True for _ in bodies(node))]
    read = [[*filter(None, node.input[: _DECIDING.get(node.op_type, 0)])] for node in holding]
    behind = inputs_behind(graph, {name for names in read for name in names})
    return tuple(
        ControlFlow(
            operator=node.op_type,
            name=node_name(node),
            nodes=sum(inner.op_type != "Constant" for body in all_bodies(node) for inner in body.node),
            decided_by=tuple(sorted({one for name in names for one in behind[name]})),
        )
        for node, names in zip(holding, read, strict=True)
    )


def node_name(node: onnx.NodeProto) -> str:
    """What to call a node: its name, or that of the first value that it makes."""
    return node.name or next(filter(None, node.output), "")


def type_text(proto: onnx.TypeProto) -> str:
    """A value's type in words: `float32`, `sequence of map of int64 to float32`."""
    match proto.WhichOneof("value"):
        case "tensor_type":
            return element_name(proto.tensor_type.elem_type)
        case "sequence_type":
            return f"sequence of {type_text(proto.sequence_type.elem_type)}"
        case "map_type":
            return f"map of {element_name(proto.map_type.key_type)} to {type_text(proto.map_type.value_type)}"
        case "optional_type":
            return f"optional {type_text(proto.optional_type.elem_type)}"
        case "sparse_tensor_type":
            return f"sparse {element_name(proto.sparse_tensor_type.elem_type)}"
        case _:
            return UNDEFINED


def _edge(value: onnx.ValueInfoProto) -> EdgeValue:
    kind = TensorType.from_proto(value.type)
    return EdgeValue(name=value.name, type=type_text(value.type), axes=kind.shape if kind else None)


def _quantised(operators: Iterable[str], weights: Counter[str]) -> str:
    """How a model computes in whole numbers, by its operators; empty where it does not."""
    names = set(operators)
    kept_as = next((name for name, _ in weights.most_common() if name in _NARROW), "int8")
    if names & _INTEGER_OPERATORS:
        return f"{kept_as} (integer operators)"
    if {"DequantizeLinear", "QuantizeLinear"} <= names:
        return f"{kept_as} (QDQ)"
    return f"{kept_as} weights, dequantised" if "DequantizeLinear" in names else ""


def _floats(weights: Counter[str], edges: Iterable[EdgeValue]) -> str:
    """The floating-point types that most weights have; where there are none, that of the first value at the edge."""
    many = [name for name, size in weights.most_common() if name in _FLOATS and size >= _FEW * weights.total()]
    return " and ".join(many) or next((value.type for value in edges if value.type in _FLOATS), "no floats")
