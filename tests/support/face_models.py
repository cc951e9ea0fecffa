"""The models of the examples in docs/python.md and in docstrings: small, and of the names that they use."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FEATURES = 161


def write_examples(folder: Path) -> None:
    """Write `model.onnx`, which multiplies frames by a matrix, and `step.onnx`, which adds up what it is given."""
    onnx.save(frames(), folder / "model.onnx")
    onnx.save(adder(), folder / "step.onnx")


def frames() -> onnx.ModelProto:
    """`output` = `input` × weights, of any number of frames in any number of batches."""
    weights = np.random.default_rng(0).standard_normal((FEATURES, FEATURES)).astype(np.float32)
    shape = ["batch", "frames", FEATURES]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["input", "weights"], ["output"])],
        "frames",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weights, "weights")],
    )
    return _model(graph)


def adder() -> onnx.ModelProto:
    """`sum` = `x` + `before`, of which `before` is to be the last `sum`; and `twice` that."""
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["x", "before"], ["sum"]),
            helper.make_node("Add", ["sum", "sum"], ["twice"]),
        ],
        "adder",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "before")],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("sum", "twice")],
    )
    return _model(graph)


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
