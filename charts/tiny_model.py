"""Writes the model that `helm test` serves, with a request and its answer: `python charts/tiny_model.py`."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).parent / "chrion" / "files" / "test"
STEPS, WIDTH = 16, 8


def model() -> onnx.ModelProto:
    """One bidirectional GRU of 8 units over 16 steps, and a product behind it: about 4 KB."""
    random = np.random.default_rng(0)
    shapes = {"W": (2, 3 * WIDTH, WIDTH), "R": (2, 3 * WIDTH, WIDTH), "P": (2 * WIDTH, 4)}
    weights = [
        numpy_helper.from_array((random.standard_normal(shape) / 3).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("GRU", ["input", "W", "R"], ["Y"], hidden_size=WIDTH, direction="bidirectional"),
        helper.make_node("Transpose", ["Y"], ["steps"], perm=[2, 0, 1, 3]),
        helper.make_node("Flatten", ["steps"], ["flat"], axis=2),
        helper.make_node("MatMul", ["flat", "P"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [STEPS, 1, WIDTH])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [STEPS, 4])],
        weights,
    )
    whole = helper.make_model(graph, producer_name="chrion", opset_imports=[helper.make_opsetid("", 17)])
    whole.ir_version = 8
    onnx.checker.check_model(whole, full_check=True)
    return whole


def write(folder: Path) -> None:
    """Write model.onnx, request.json and answer.json."""
    import onnxruntime

    whole = model().SerializeToString(deterministic=True)
    values = np.sin(np.arange(STEPS * WIDTH, dtype=np.float32)).reshape(STEPS, 1, WIDTH).round(3)
    tensor = {"name": "input", "datatype": "FP32", "shape": list(values.shape)}
    tensor["data"] = [round(float(value), 3) for value in values.ravel()]
    (answer,) = onnxruntime.InferenceSession(whole, providers=["CPUExecutionProvider"]).run(None, {"input": values})
    (folder / "model.onnx").write_bytes(whole)
    (folder / "request.json").write_text(json.dumps({"inputs": [tensor]}) + "\n")
    (folder / "answer.json").write_text(json.dumps({"output": [round(float(v), 6) for v in answer.ravel()]}) + "\n")


if __name__ == "__main__":
    write(FOLDER)
