"""Models that a loader may read but that would take all memory, all time or all stack. Run them only within limits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from tests.support.bad_models.build import BadModel, floats, graph, model, serialized

TERABYTE = 2**38
"""Floats in a tebibyte."""

X, Y = floats("x", 4), floats("y", 4)
CONDITION = helper.make_tensor_value_info("condition", TensorProto.BOOL, [])


def _integers(name: str, values: Sequence[int] | int) -> TensorProto:
    return numpy_helper.from_array(np.array(values, dtype=np.int64), name)


def _loop(scanned: bool) -> bytes:
    """A Loop that never ends; `scanned` has it keep a row of every round as well."""
    nodes = [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Sin", ["state"], ["next"])]
    inputs = [
        helper.make_tensor_value_info("round", TensorProto.INT64, []),
        helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        floats("state", 4),
    ]
    outputs = [helper.make_tensor_value_info("go_on", TensorProto.BOOL, []), floats("next", 4)]
    names = ["y"]
    if scanned:
        nodes.append(helper.make_node("Identity", ["next"], ["row"]))
        outputs.append(floats("row", 4))
        names.append("rows")
    node = helper.make_node("Loop", ["trips", "true", "x"], names, body=graph(nodes, inputs, outputs))
    true = numpy_helper.from_array(np.array(True), "true")
    results = [Y, floats("rows", "rounds", 4)][: len(names)]
    return serialized(graph([node], [X], results, [_integers("trips", 2**63 - 1), true]))


def _fill(nodes: Sequence[NodeProto], inputs: Sequence[ValueInfoProto], initializers: Sequence[TensorProto]) -> bytes:
    """A ConstantOfShape of `shape`, summed up."""
    fill = helper.make_node("ConstantOfShape", ["shape"], ["zeros"])
    total = helper.make_node("ReduceSum", ["zeros"], ["y"], keepdims=0)
    return serialized(graph([*nodes, fill, total], inputs, [floats("y")], initializers))


def _fixed_terabyte(_: Path) -> bytes:
    return _fill([], [], [_integers("shape", [TERABYTE])])


def _terabyte_by_shape(_: Path) -> bytes:
    nodes = [helper.make_node("Shape", ["x"], ["size"]), helper.make_node("Mul", ["size", "factor"], ["shape"])]
    return _fill(nodes, [floats("x", "n")], [_integers("factor", [TERABYTE])])


def _terabyte_by_value(_: Path) -> bytes:
    size = helper.make_tensor_value_info("size", TensorProto.INT64, [1])
    return _fill([helper.make_node("Add", ["size", "more"], ["shape"])], [size], [_integers("more", [TERABYTE])])


def _initializer_terabyte(_: Path) -> bytes:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[TERABYTE], raw_data=bytes(16))
    total = helper.make_node("ReduceSum", ["w"], ["sum"], keepdims=0)
    return serialized(graph([total, helper.make_node("Add", ["x", "sum"], ["y"])], [X], [Y], [weight]))


def _many_nodes(_: Path, count: int = 60_000) -> bytes:
    names = ["x", *(f"v{index}" for index in range(1, count)), "y"]
    nodes = [helper.make_node("Sin", [names[index]], [names[index + 1]]) for index in range(count)]
    return serialized(graph(nodes, [X], [Y]))


def _field(message: Any, field: str, content: bytes) -> bytes:
    """A field that holds a message, as it is on the wire: tag, length, content."""
    number: int = message.DESCRIPTOR.fields_by_name[field].number
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    parts = []
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _deep_ifs(_: Path, levels: int = 200) -> bytes:
    """An If in the branch of an If, and so on. Put together from the inside: protobuf refuses to write this depth."""
    plain = graph([helper.make_node("Sin", ["x"], ["v0"])], [], [floats("v0", 4)]).SerializeToString()
    branch = plain
    for level in range(1, levels + 1):
        node = helper.make_node("If", ["condition"], [f"v{level}"]).SerializeToString()
        for name, body in (("then_branch", branch), ("else_branch", plain)):
            attribute = AttributeProto(name=name, type=AttributeProto.GRAPH).SerializeToString()
            node += _field(NodeProto, "attribute", attribute + _field(AttributeProto, "g", body))
        inputs = [CONDITION, X] if level == levels else []
        branch = _field(GraphProto, "node", node) + graph([], inputs, [floats(f"v{level}", 4)]).SerializeToString()
    # A message given in two parts is their union.
    whole: bytes = model(GraphProto()).SerializeToString() + _field(ModelProto, "graph", branch)
    return whole


MODELS = {
    "infinite-loop": BadModel("a Loop whose condition is always true, for 2^63 rounds", lambda _: _loop(False)),
    "growing-loop": BadModel("the same, keeping 16 bytes of every round", lambda _: _loop(True)),
    "terabyte": BadModel("a ConstantOfShape of a tebibyte", _fixed_terabyte),
    "terabyte-by-shape": BadModel("a ConstantOfShape of a tebibyte for each element of an input", _terabyte_by_shape),
    "terabyte-by-value": BadModel("a ConstantOfShape of a tebibyte and an input's value", _terabyte_by_value),
    "terabyte-initializer": BadModel("an initializer of a tebibyte with 16 bytes of data", _initializer_terabyte),
    "deep-ifs": BadModel("200 Ifs, each in a branch of the one before", _deep_ifs),
    "many-nodes": BadModel("a valid chain of 60,000 nodes, for a limit on nodes", _many_nodes),
}
