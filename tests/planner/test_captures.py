"""Which stages can be CUDA graphs, and what plans with them are."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from chrion_api import GpuBytes, Plan, Stage
from chrion_graph.graph import Graph
from chrion_planner.captures import can_be_captured, captured, is_captured, uncaptured_name
from chrion_planner.frontier import pareto
from chrion_planner.measured_frontier import _worth_measuring
from tests.support.one_layer import OneLayer
from tests.support.partition import normalised

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def stage(*nodes, lane="cuda:0/0"):
    return Stage(nodes=nodes, lanes=(lane,))


def graph_of(nodes, folder, inputs=(("x", FLOAT, [2, 3]),), values=(), outputs=(("y", FLOAT, None),), constants=()):
    made = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(*each) for each in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants],
        value_info=[helper.make_tensor_value_info(*each) for each in values],
    )
    return Graph(onnx.helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder)


def test_stages_of_floats_and_constants_can(tmp_path):
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["r"]), helper.make_node("Relu", ["r"], ["y"])]
    graph = graph_of(nodes, tmp_path, values=[("r", FLOAT, [6])], constants=[("shape", np.array([6]))])
    assert can_be_captured(graph, [stage(0, 1)])
    assert can_be_captured(graph, [stage(0, lane="cpu/0"), stage(1)]), "as far as they are on CUDA devices"
    assert not can_be_captured(graph, [stage(0, 1, lane="cpu/0")])
    assert not can_be_captured(graph, [stage(0, 1, lane="emulated:0/0")])


def test_a_shape_that_is_computed_on_the_way_is_read_by_the_host(tmp_path):
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    graph = graph_of(nodes, tmp_path, inputs=[("x", FLOAT, [2, 3]), ("shape", INT64, [1])])
    assert not can_be_captured(graph, [stage(0)])


def test_indices_are_read_by_the_gpu(tmp_path):
    graph = graph_of(
        [helper.make_node("Gather", ["table", "ids"], ["y"])],
        tmp_path,
        inputs=[("ids", INT64, [4])],
        constants=[("table", np.ones((5, 2), np.float32))],
    )
    assert can_be_captured(graph, [stage(0)])


def test_shapes_that_follow_from_values_cannot(tmp_path):
    graph = graph_of([helper.make_node("NonZero", ["x"], ["y"])], tmp_path, outputs=[("y", INT64, None)])
    assert not can_be_captured(graph, [stage(0)])


@pytest.mark.parametrize(
    ("layer", "possible"),
    [
        (OneLayer("GRU"), True),
        (OneLayer("LSTM", "bidirectional"), True),
        (OneLayer("LSTM", "reverse"), False),
        (OneLayer("GRU", given=("B", "lengths"), fed=("X", "lengths")), False),
    ],
    ids=["forward", "bidirectional", "reverse", "lengths"],
)
def test_recurrent_layers(layer, possible, tmp_path):
    assert can_be_captured(normalised(layer.model(), tmp_path), [stage(0)]) == possible


def test_control_flow_cannot(tmp_path):
    body = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["b"])], "body", [], [helper.make_tensor_value_info("b", FLOAT, None)]
    )
    node = helper.make_node("If", ["flag"], ["y"], then_branch=body, else_branch=body)
    inputs = [("x", FLOAT, [2, 3]), ("flag", TensorProto.BOOL, [])]
    assert not can_be_captured(graph_of([node], tmp_path, inputs=inputs), [stage(0)])


def plan(name="heft", seconds=1.0, **update):
    made = Plan(name=name, graph="g", stages=(stage(0), stage(1, lane="cpu/0")), predicted_seconds=seconds)
    return made.model_copy(update=update)


def test_only_cuda_stages_become_graphs():
    found = captured(plan("heft-wide+split-directions"), 0.5)
    assert (found.name, found.predicted_seconds) == ("heft-wide-graphed+split-directions", 0.5)
    assert ["capture" in one.options for one in found.stages] == [True, False]
    assert uncaptured_name(found) == "heft-wide+split-directions"
    assert is_captured(found)
    assert not is_captured(plan())


def test_of_plans_that_are_as_fast_the_one_without_graphs_is_kept():
    both = [captured(plan()), plan()]
    beats = lambda one, other: one.predicted_seconds < other.predicted_seconds  # noqa: E731
    assert [one.name for one in pareto(both, beats)] == ["heft"]
    faster = [captured(plan(), 0.5), plan()]
    assert [one.name for one in pareto(faster, beats)] == ["heft-graphed"]


def test_a_plan_with_graphs_is_measured_beside_its_twin_whatever_is_predicted():
    slow = plan("slow", 9.0, gpu_bytes=GpuBytes(weights=5))
    others = [plan(f"fast{number}", 1.0 + number / 100) for number in range(20)]
    measured = [one.name for one in _worth_measuring([*others, slow, captured(slow)])]
    assert {"slow", "slow-graphed"} < set(measured)
