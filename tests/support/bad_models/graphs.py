"""Models that can be read but whose graphs make no sense."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.support.bad_models.build import BadModel, floats, graph, serialized

X, Y = floats("x", 4), floats("y", 4)


def _unknown_opset(_: Path) -> bytes:
    return serialized(graph([helper.make_node("Relu", ["x"], ["y"])], [X], [Y]), opset=999)


def _unknown_operator(_: Path) -> bytes:
    return serialized(graph([helper.make_node("Frobnicate", ["x"], ["y"])], [X], [Y]))


def _unknown_domain(_: Path) -> bytes:
    node = helper.make_node("Relu", ["x"], ["y"], domain="com.example.unknown")
    return serialized(graph([node], [X], [Y]), domains=["com.example.unknown"])


def _cycle(_: Path) -> bytes:
    nodes = [
        helper.make_node("Add", ["x", "b"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Identity", ["b"], ["y"]),
    ]
    return serialized(graph(nodes, [X], [Y]))


def _undefined_value(_: Path) -> bytes:
    return serialized(graph([helper.make_node("Add", ["x", "nowhere"], ["y"])], [X], [Y]))


def _mismatched_shapes(_: Path) -> bytes:
    weight = numpy_helper.from_array(np.zeros((4, 5), dtype=np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    return serialized(graph([node], [floats("x", 2, 3)], [floats("y", 2, 5)], [weight]))


def _short_initializer(_: Path) -> bytes:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1024], raw_data=bytes(16))
    node = helper.make_node("Add", ["x", "w"], ["y"])
    return serialized(graph([node], [floats("x", 1024)], [floats("y", 1024)], [weight]))


def _duplicate_values(_: Path) -> bytes:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Tanh", ["x"], ["y"])]
    return serialized(graph(nodes, [X], [Y]))


def _no_outputs(_: Path) -> bytes:
    return serialized(graph([helper.make_node("Relu", ["x"], ["y"])], [X], []))


MODELS = {
    "unknown-opset": BadModel("version 999 of ai.onnx", _unknown_opset),
    "unknown-operator": BadModel("an operator that ai.onnx does not have", _unknown_operator),
    "unknown-domain": BadModel("an operator of a domain that nobody knows", _unknown_domain),
    "cycle": BadModel("two nodes that each need the other's output", _cycle),
    "undefined-value": BadModel("a node that reads a value nothing makes", _undefined_value),
    "mismatched-shapes": BadModel("a MatMul of [2, 3] and [4, 5]", _mismatched_shapes),
    "short-initializer": BadModel("an initializer of 1,024 floats with the data of 4", _short_initializer),
    "duplicate-values": BadModel("two nodes that write the same value", _duplicate_values),
    "no-outputs": BadModel("a graph with no outputs", _no_outputs),
}
