"""A model that is planned as fast as any, and the spec of a ChrionModel that has it planned."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TINY_SPEC: dict[str, Any] = {
    "model": {"uri": "https://models/tiny.onnx"},
    "inputs": [{"name": "x", "shape": [1, 8]}],
    "devices": {"gpuResource": "", "cpuLanes": 1},
}


def tiny_model(path: Path) -> Path:
    """Write a product and a Relu of eight numbers a row."""
    x, z = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 8]) for name in "xz")
    weights = numpy_helper.from_array(np.eye(8, dtype=np.float32), "weights")
    nodes = [helper.make_node("MatMul", ["x", "weights"], ["y"]), helper.make_node("Relu", ["y"], ["z"])]
    graph = helper.make_graph(nodes, "tiny", [x], [z], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path
