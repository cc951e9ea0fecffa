"""From a graph and a profile to a partitioning problem."""

import onnx
import pytest
from onnx import TensorProto, helper

from chrion_api import InputSpec, Optimization, Profile
from chrion_planner.costs import costs
from chrion_planner.errors import ProfileMismatch

GRU = "gru-bidirectional-l2-h16-s8-b2"


def test_tasks_are_nodes_with_what_they_read_and_write(prepared_case, made_up_profile):
    prepared = prepared_case(GRU)
    bucket = prepared.buckets[0].variants[0].bucket
    work = costs(bucket, made_up_profile(prepared), Optimization.ALL)
    graph = bucket.graph
    assert [nodes for (nodes,) in work.members] == list(range(len(graph.nodes)))
    assert sum(work.problem.host_in) >= sum(graph.value_bytes(name, bucket.shapes) for name in graph.inputs)
    assert sum(work.problem.host_out) == sum(graph.value_bytes(name, bucket.shapes) for name in graph.outputs)
    for source, target, nbytes in work.problem.tasks.edges(data="bytes"):
        shared = set(graph.writes[source]) & set(graph.reads[target])
        assert nbytes == sum(graph.value_bytes(name, bucket.shapes) for name in shared) > 0


def test_nodes_are_scaled_to_the_measured_whole(prepared_case, made_up_profile):
    prepared = prepared_case(GRU)
    bucket = prepared.buckets[0].variants[0].bucket
    profile = made_up_profile(prepared)
    plain = sum(costs(bucket, profile, Optimization.NONE).problem.seconds["cpu"])
    device = profile.device("cpu")
    twice = tuple(
        whole.model_copy(update={"seconds": whole.seconds * 2}) if whole.options else whole for whole in device.wholes
    )
    scaled = profile.model_copy(update={"devices": (device.model_copy(update={"wholes": twice}),)})
    assert sum(costs(bucket, scaled, Optimization.ALL).problem.seconds["cpu"]) == pytest.approx(2 * plain)
    assert sum(costs(bucket, scaled, Optimization.NONE).problem.seconds["cpu"]) == pytest.approx(plain)


def test_a_profile_without_a_node_is_refused_and_the_node_named(prepared_case, made_up_profile):
    prepared = prepared_case(GRU)
    profile: Profile = made_up_profile(prepared)
    device = profile.device("cpu")
    some = {name: cost for name, cost in device.nodes.items() if not name.startswith("Transpose")}
    lacking = profile.model_copy(update={"devices": (device.model_copy(update={"nodes": some}),)})
    with pytest.raises(ProfileMismatch, match=r"no Transpose of these shapes for cpu \(node \d+"):
        costs(prepared.buckets[0].variants[0].bucket, lacking, Optimization.ALL)


def test_nodes_that_share_a_sequence_are_one_task_with_all_between_them(tmp_path, prepared_file, made_up_profile):
    nodes = [
        helper.make_node("SplitToSequence", ["x"], ["parts"], axis=0, keepdims=1),
        helper.make_node("SequenceLength", ["parts"], ["count"]),
        helper.make_node("Sub", ["count", "one"], ["last"]),
        helper.make_node("SequenceAt", ["parts", "last"], ["part"]),
        helper.make_node("Relu", ["part"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "sequence",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [helper.make_tensor("one", TensorProto.INT64, [], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "sequence.onnx")
    prepared = prepared_file(tmp_path / "sequence.onnx", [InputSpec(name="x", shape=(4, 3))])
    bucket = prepared.buckets[0].variants[0].bucket
    work = costs(bucket, made_up_profile(prepared), Optimization.ALL)
    together = next(nodes for nodes in work.members if len(nodes) > 1)
    assert {bucket.graph.nodes[node].op_type for node in together} == {
        "SplitToSequence",
        "SequenceLength",
        "Sub",
        "SequenceAt",
    }
