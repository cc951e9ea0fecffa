"""What ONNX Runtime may leave to the CPU within a session for another provider, and what it must not."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from chrion_runtime.engines.onnxruntime.assignment import RECORD, fallen_back, hidden, shape_arithmetic

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def reshaping() -> onnx.ModelProto:
    """The last two axes of x as one, the way exporters write it, and a product."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"], axis=0),
        helper.make_node("Concat", ["batch", "rest"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["x", "wanted"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "reshaping",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [
            numpy_helper.from_array(np.array([0]), "zero"),
            numpy_helper.from_array(np.array([128]), "rest"),
            numpy_helper.from_array(np.ones((128, 4), np.float32), "w"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_arithmetic_with_shapes_is_what_reads_nothing_else() -> None:
    assert list(shape_arithmetic(reshaping())) == ["Shape", "Gather", "Concat"]


def test_it_may_stay_on_the_cpu() -> None:
    rest = [(CUDA, "Shape"), (CUDA, "Reshape"), (CUDA, "MatMul")]
    assert hidden(reshaping(), [*rest, (CPU, "Gather"), (CPU, "Concat")]) == ()
    assert hidden(reshaping(), rest) == ()


@pytest.mark.parametrize("operator", ["MatMul", "Reshape", "GRU"])
def test_work_may_not(operator: str) -> None:
    assert hidden(reshaping(), [(CUDA, "Shape"), (CPU, "Gather"), (CPU, operator)]) == (operator,)


def test_constants_that_are_no_shapes_make_work_of_what_reads_them() -> None:
    model = reshaping()
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.ones(101, np.int64), "rest"))
    assert list(shape_arithmetic(model)) == ["Shape", "Gather"]


def test_a_real_session_says_where_its_nodes_are(tmp_path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(reshaping(), path)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry(RECORD, "1")
    session = ort.InferenceSession(path, options, providers=[CPU])
    assert fallen_back(session, path) == ("MatMul", "Reshape"), "all is on the CPU here, and only shapes may be"
