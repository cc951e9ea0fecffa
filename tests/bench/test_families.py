"""Every family of generated models builds, checks, runs and means what its name says."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from chrion_api import ChrionError
from chrion_models.families import FAMILIES, ModelCase, cases, find
from chrion_models.families.stack import Kind, stack
from chrion_models.families.unrolled import unrolled
from chrion_models.inputs import random_inputs

Arrays = dict[str, npt.NDArray[Any]]
CaseInputs = Callable[..., Arrays]

SMALL = pytest.mark.parametrize("case", cases(small=True), ids=lambda case: case.name)
KINDS = pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])


def run(model: onnx.ModelProto, inputs: Arrays) -> Arrays:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


@SMALL
def test_checks_and_runs(case: ModelCase, case_inputs: CaseInputs) -> None:
    model = case.build()
    onnx.checker.check_model(model, full_check=True)
    outputs = run(model, case_inputs(case))
    assert [value.name for value in model.graph.output] == list(outputs)
    for value in model.graph.output:
        array = outputs[value.name]
        assert np.isfinite(array).all()
        assert array.std() > 1e-3
        declared = [
            axis.dim_value or size for axis, size in zip(value.type.tensor_type.shape.dim, array.shape, strict=True)
        ]
        assert declared == list(array.shape)


@SMALL
def test_is_the_same_bytes_each_time(case: ModelCase) -> None:
    assert case.build().SerializeToString() == case.build().SerializeToString()


@SMALL
def test_takes_other_batches(case: ModelCase) -> None:
    model = case.build()
    dimensions = {value.name: value.type.tensor_type.shape.dim for value in model.graph.input}
    shapes = {
        name: tuple(
            5 if axis.dim_param == "batch" else size for axis, size in zip(dimensions[name], shape, strict=True)
        )
        for name, shape in case.inputs.items()
    }
    outputs = run(model, random_inputs(model, shapes, case.values))
    assert all(5 in array.shape for array in outputs.values())


def test_the_suites_are_whole() -> None:
    names = [case.name for case in cases()]
    assert len(set(names)) == len(names)
    stacks = [name for name in names if re.fullmatch(r"(lstm|gru|rnn)-(forward|bidirectional)-l\d-h\d+-s\d+-b\d", name)]
    assert len(stacks) == 3 * 2 * 3 * 4 * 2 * 2
    for family in FAMILIES:
        assert cases(family=family)
        assert cases(small=True, family=family)


def test_a_case_is_found_by_its_name() -> None:
    case = find("gru-bidirectional-l2-h128-s128-b1")
    assert case.inputs == {"input": (128, 1, 128)}
    assert [node.op_type for node in case.build().graph.node].count("GRU") == 2
    with pytest.raises(ChrionError, match="gru-bidirectional-l2-h128-s128-b1"):
        find("gru-bidirectional-l2-h128-s128")


def test_fills_are_single_numbers() -> None:
    assert stack("GRU", "forward", 1, 4, 8, 2, lengths=True).fills == {"lengths": 8}


@KINDS
def test_lengths_and_states_count(kind: Kind, case_inputs: CaseInputs) -> None:
    case = stack(kind, "forward", 1, 8, 6, 2, states=True, lengths=True)
    inputs = {**case_inputs(case), "lengths": np.array([2, 6], dtype=np.int32)}
    outputs = run(case.build(), inputs)
    assert not outputs["output"][2:, 0].any()
    assert outputs["output"][2:, 1].all()
    np.testing.assert_array_equal(outputs["h_n"][0, 0], outputs["output"][1, 0])
    assert (run(case.build(), {**inputs, "h_0": 0 * inputs["h_0"]})["output"][0] != outputs["output"][0]).any()


# The order of the gates in PyTorch's cells, as ONNX's layers want them: iofc from ifco, zrh from rzh.
GATE_ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}


@KINDS
@pytest.mark.parametrize(("linear", "parting"), [("gemm", "split"), ("matmul", "slice")])
def test_cells_compute_what_the_layer_computes(kind: Kind, linear: Any, parting: Any, case_inputs: CaseInputs) -> None:
    case = unrolled(kind, 1, 8, 5, 2, linear, parting)
    model, inputs = case.build(), case_inputs(case)
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}

    def gates(name: str) -> npt.NDArray[Any]:
        array = held[f"cell0.{name}"]
        rows = array.T if linear == "matmul" and array.ndim == 2 else array
        return np.concatenate([np.split(rows, len(GATE_ORDER[kind]))[gate] for gate in GATE_ORDER[kind]])

    weights = {
        "W": gates("weight_ih")[None],
        "R": gates("weight_hh")[None],
        "B": np.concatenate([gates("bias_ih"), gates("bias_hh")])[None],
    }
    states = [name for name in inputs if name.endswith("_0")]
    finals = [name.replace("_0", "_n") for name in states]
    layer = helper.make_node(
        kind,
        ["input", *weights, "", *states],
        ["Y", *finals],
        hidden_size=8,
    )
    if kind == "GRU":
        layer.attribute.append(helper.make_attribute("linear_before_reset", 1))
    graph = helper.make_graph(
        [layer],
        "layer",
        list(model.graph.input),
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("Y", *finals)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    expected = run(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), inputs)
    outputs = run(model, inputs)
    np.testing.assert_allclose(outputs["output"], expected["Y"][:, 0], rtol=1e-4, atol=1e-5)
    for final in finals:
        np.testing.assert_allclose(outputs[final], expected[final], rtol=1e-4, atol=1e-5)
