"""What a check says of models: what is in them, what would run where, what is likely to be gained, what to do."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

from chrion_models.families import ModelCase
from chrion_models.families.graph import GraphBuilder
from chrion_models.families.stack import Stack, stack
from chrion_models.families.unrolled import unrolled
from chrion_planner.check import ModelCheck, blocking, check, check_blocked
from chrion_planner.check.report import LayerCheck, Outlook
from tests.support.one_layer import HIDDEN, INPUTS, OneLayer
from tests.support.partition import normalised
from tests.support.recurrent import layers


def checked(model: onnx.ModelProto, folder: Path, missing: str = "") -> ModelCheck:
    return check(Path("m.onnx"), model, normalised(model, folder), missing)


def only_layer(model: onnx.ModelProto, folder: Path) -> LayerCheck:
    (layer,) = checked(model, folder).layers
    return layer


def problems(report: ModelCheck) -> str:
    return "\n".join(f"{one.problem} -> {one.way_out}" for one in report.obstacles)


def in_a_branch(condition: str, nodes: list[onnx.NodeProto], inputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
    """A GRU in one branch of an If whose condition `nodes` make; x goes through the other."""
    layer = OneLayer("GRU", outputs=["Y"]).model().graph
    del layer.node[0].output[1:]
    squeeze = helper.make_node("Squeeze", ["Y", "one"], ["then"])
    floats = helper.make_tensor_value_info("then", TensorProto.FLOAT, None)
    taken = helper.make_graph([layer.node[0], squeeze], "taken", [], [floats])
    other = helper.make_node("MatMul", ["X", "P"], ["else"])
    left = helper.make_graph([other], "left", [], [helper.make_tensor_value_info("else", TensorProto.FLOAT, None)])
    branch = helper.make_node("If", [condition], ["y"], "choice", then_branch=taken, else_branch=left)
    graph = helper.make_graph(
        [*nodes, branch],
        "branches",
        [*layer.input, *inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            *layer.initializer,
            numpy_helper.from_array(np.array([1]), "one"),
            numpy_helper.from_array(np.array(16000), "rate"),
            numpy_helper.from_array(np.ones((INPUTS, HIDDEN), np.float32), "P"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_what_is_in_a_model(tmp_path: Path) -> None:
    report = checked(stack("LSTM", "bidirectional", 2, 16, 8, 1).build(), tmp_path)
    assert report.contents.opset == 17
    assert report.contents.precision == "float32"
    (value,) = report.contents.inputs
    assert (value.name, value.type, value.axes) == ("input", "float32", ("seq", "batch", 16))
    assert [value.name for value in report.contents.outputs] == ["output", "h_n", "c_n"]
    assert report.contents.operators["LSTM"] == 2
    assert report.contents.nodes == sum(report.contents.operators.values())
    weights = 2 * (4 * 16 * (16 + 16) + 8 * 16) + 2 * (4 * 16 * (32 + 16) + 8 * 16)
    assert report.contents.weight_bytes["float32"] == 4 * weights
    assert ModelCheck.from_json(report.to_json()) == report


def test_layers_that_the_kernels_take(tmp_path: Path) -> None:
    report = checked(stack("GRU", "bidirectional", 2, 16, 8, 1).build(), tmp_path)
    assert [(one.kind, one.direction, one.inputs, one.hidden, one.steps, one.batch) for one in report.layers] == [
        ("GRU", "bidirectional", 16, 16, "seq", "batch"),
        ("GRU", "bidirectional", 32, 16, "seq", "batch"),
    ]
    assert not any(one.lacking for one in report.layers)
    assert "GRU" not in report.onnxruntime
    assert report.outlook is Outlook.LIKELY
    assert "Chrion's kernels take 2 recurrent layers as one kernel" in report.reasons[0]
    assert "both directions of 2 recurrent layers can run side by side" in report.reasons


@pytest.mark.parametrize(
    ("layer", "lacking"),
    [
        (OneLayer("LSTM"), ""),
        (OneLayer("LSTM", given=("B", "P")), "peepholes"),
        (OneLayer("GRU", attributes={"clip": 3.0}), "clip"),
        (OneLayer("LSTM", attributes={"input_forget": 1}), "input_forget"),
        (OneLayer("RNN", attributes={"activations": ["Softsign"]}), "activation softsign"),
        (OneLayer("GRU", fed=("X", "W")), "weights that are not constants"),
        (OneLayer("LSTM", dtype=np.float64), "float64 weights"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
def test_why_the_kernels_leave_a_layer(tmp_path: Path, layer: OneLayer, lacking: str) -> None:
    assert only_layer(layer.model(), tmp_path).lacking == lacking


def test_without_kernels_nothing_is_promised(tmp_path: Path) -> None:
    report = checked(
        stack("LSTM", "forward", 1, 16, 8, 1).build(), tmp_path, "the recurrent kernels are missing: no file"
    )
    assert report.layers[0].lacking == "no kernels here"
    assert report.onnxruntime["LSTM"] == 1
    assert report.outlook is Outlook.LITTLE
    assert "the recurrent kernels are missing: no file -> install Chrion where there is a C compiler" in problems(
        report
    )


def test_unrolled_cells_become_layers(tmp_path: Path) -> None:
    report = checked(unrolled("LSTM", 2, 16, 6, 1).build(), tmp_path)
    assert [(one.kind, one.made_by, one.steps, one.lacking) for one in report.layers] == [
        ("LSTM", "re-roll", 6, "")
    ] * 2
    assert report.outlook is Outlook.LIKELY
    assert report.reasons[0].startswith("re-roll makes 2 recurrent layers of ")
    assert report.contents.operators["Gemm"] == 24, "which are what the file holds"
    assert "Gemm" not in report.onnxruntime


def test_a_model_without_layers_has_little_to_gain(tmp_path: Path) -> None:
    graph = GraphBuilder()
    value = graph.input("x", ("batch", 32))
    for number in range(3):
        value = graph.node("Relu", graph.linear(f"l{number}", value, 32, 32))
    graph.output("y", value, ("batch", 32))
    report = checked(graph.model("dense"), tmp_path)
    assert (report.layers, report.outlook) == ((), Outlook.LITTLE)
    assert report.onnxruntime == {"Gemm": 3, "Relu": 3}, "products and their biases are one node each once normalised"


def test_towers_may_run_side_by_side(tmp_path: Path) -> None:
    graph = GraphBuilder()
    towers = [graph.input(name, ("batch", 64)) for name in ("left", "right")]
    for number in range(3):
        towers = [graph.linear(f"l{number}{side}", value, 64, 64) for side, value in enumerate(towers)]
    graph.output("y", graph.node("Add", *towers), ("batch", 64))
    report = checked(graph.model("towers"), tmp_path)
    assert report.outlook is Outlook.POSSIBLE
    assert "branches that do not need each other: 50% of the weights are beside the longest way" in report.reasons[0]


def test_a_small_layer_beside_much_else_is_not_promised_to_matter(tmp_path: Path) -> None:
    graph = GraphBuilder()
    value = graph.linear("in", graph.input("x", ("seq", "batch", 256)), 256, 256)
    value, _ = Stack("GRU", "forward", 1, 8).add(graph, "gru", value, 256)
    graph.output("y", value, ("seq", "batch", 8))
    report = checked(graph.model("small"), tmp_path)
    assert report.outlook is Outlook.POSSIBLE
    assert "what they gain may not show in the whole" in report.reasons[0]


def test_a_layer_in_a_branch_that_an_input_decides(tmp_path: Path) -> None:
    rate = helper.make_tensor_value_info("sr", TensorProto.INT64, [])
    model = in_a_branch("is16", [helper.make_node("Equal", ["sr", "rate"], ["is16"])], [rate])
    report = checked(model, tmp_path)
    (layer,) = report.layers
    assert (layer.kind, layer.hidden, layer.inside, layer.lacking) == ("GRU", HIDDEN, "If choice", "inside If")
    (flow,) = report.contents.control_flow
    assert (flow.operator, flow.name, flow.nodes, flow.decided_by) == ("If", "choice", 3, ("sr",))
    assert "1 recurrent layer inside If choice, which the value of sr decides -> plan with what" in problems(report)
    assert report.outlook is Outlook.POSSIBLE
    assert "--value sr=16000" in (report.command or "")


def test_a_layer_in_a_branch_that_a_shape_decides(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Size", ["X"], ["size"]),
        helper.make_node("Equal", ["size", "rate"], ["is16"]),
    ]
    model = in_a_branch("is16", nodes, [])
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "T"
    report = checked(model, tmp_path)
    assert report.contents.control_flow[0].decided_by == ()
    assert "inside If" not in problems(report), "planning inlines it"
    assert report.outlook is Outlook.POSSIBLE


def test_lengths_are_planned_for_whole_sequences(tmp_path: Path) -> None:
    report = checked(layers("LSTM", depth=1, inputs={4: "lengths"}), tmp_path)
    assert "inputs.lengths: its value decides what runs" in problems(report)
    assert (report.command or "").endswith("--value lengths=100")


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_layers_in_other_precisions_have_a_way_out(tmp_path: Path, dtype: Any) -> None:
    report = checked(OneLayer("GRU", dtype=dtype).model(), tmp_path)
    name = np.dtype(dtype).name
    assert report.contents.precision == name
    assert (report.layers[0].weights, report.layers[0].lacking) == (name, f"{name} weights")
    assert f"1 recurrent layer with {name} weights: Chrion's kernels take float32 -> export those" in problems(report)
    assert report.outlook is Outlook.LITTLE


def test_an_lstm_that_onnx_runtime_quantised_is_a_layer_too(tmp_path: Path) -> None:
    onnx.save(OneLayer("LSTM").model(), tmp_path / "floats.onnx")
    quantize_dynamic(tmp_path / "floats.onnx", tmp_path / "bytes.onnx")
    report = checked(onnx.load(tmp_path / "bytes.onnx"), tmp_path)
    (layer,) = report.layers
    assert (layer.kind, layer.hidden, layer.lacking) == ("DynamicQuantizeLSTM", HIDDEN, "int8 weights")
    assert report.contents.precision == "int8 (integer operators)"
    assert "--precision int8" in problems(report)


def test_quantised_models_are_known_by_their_operators(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["dw"]),
        helper.make_node("MatMul", ["d", "dw"], ["y"]),
    ]
    constants = {"scale": np.float32(0.1), "zero": np.int8(0), "w": np.ones((4, 4), np.int8)}
    graph = helper.make_graph(
        nodes,
        "qdq",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert checked(model, tmp_path).contents.precision == "int8 (QDQ)"


def test_the_command_gives_what_is_open(tmp_path: Path) -> None:
    model = layers("GRU", depth=1, batch="rows")
    report = checked(model, tmp_path)
    assert report.command == "chrion plan m.onnx -o m.plan.json -i x=100xrowsx8"
    assert "inputs.x: axis rows is open, and no name says how long -> put sizes in place of x=100xrowsx8" in problems(
        report
    )


def test_what_is_guessed_stands_in_the_command(tmp_path: Path) -> None:
    model = layers("GRU", depth=1, initial="input")
    report = check(Path("a folder/m.onnx"), model, normalised(model, tmp_path))
    words = shlex.split(report.command or "")
    assert words == [
        *("chrion", "plan", "a folder/m.onnx", "-o", "m.plan.json"),
        *("-i", "x=100x1x8", "-i", "h0=1x1x8"),
    ]
    assert "inputs.x: axis seq is taken to be 100 and batch 1 -> give --input x=100x1x8" in problems(report)


def test_a_model_of_fixed_shapes_needs_nothing_more(tmp_path: Path) -> None:
    report = checked(layers("GRU", depth=1, steps=5, batch=1), tmp_path)
    assert (report.obstacles, report.command) == ((), "chrion plan m.onnx -o m.plan.json")


def of_type(value: Any, nodes: list[onnx.NodeProto], domain: str = "") -> onnx.ModelProto:
    """A model whose output `y` is of this type."""
    graph = helper.make_graph(
        nodes,
        "strange",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_value_info("y", value)],
    )
    imports = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 3)] if domain else [])]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def test_maps_at_the_edge_have_a_way_out() -> None:
    floats = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    pairs = onnx.TypeProto()
    pairs.map_type.key_type = TensorProto.INT64
    pairs.map_type.value_type.CopyFrom(floats)
    node = helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    model = of_type(helper.make_sequence_type_proto(pairs), [node], "ai.onnx.ml")
    (obstacle,) = blocking(model)
    assert obstacle.problem == "output y: sequence of map of int64 to float32"
    assert "zipmap=False" in obstacle.way_out
    report = check_blocked(Path("m.onnx"), model)
    assert (report.outlook, report.command, report.obstacles) == (Outlook.BLOCKED, None, (obstacle,))
    assert report.contents.operators == {"ZipMap": 1}


def test_sequences_at_the_edge_have_a_way_out() -> None:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    (obstacle,) = blocking(of_type(kind, [helper.make_node("SequenceConstruct", ["x"], ["y"])]))
    assert obstacle.problem == "output y: sequence of float32"
    assert "ConcatFromSequence" in obstacle.way_out


def test_a_batchwise_layer_has_a_way_out() -> None:
    (obstacle,) = blocking(OneLayer("GRU", attributes={"layout": 1}).model())
    assert obstacle.problem == "1 recurrent layer with layout=1, which ONNX Runtime does not run"
    assert "layout=0" in obstacle.way_out


@pytest.mark.parametrize(
    "case", [stack("RNN", "forward", 1, 16, 8, 1), unrolled("GRU", 1, 16, 4, 1)], ids=lambda c: c.name
)
def test_nothing_blocks_a_plain_model(case: ModelCase) -> None:
    assert not blocking(case.build())
