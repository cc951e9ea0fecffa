"""GPU memory as it is predicted, part by part."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from chrion_api import Stage
from chrion_graph.graph import Graph
from chrion_planner.memory import arena_bytes, chunks, gpu_bytes, host_bytes, inner_bytes, peak_bytes, sessions
from chrion_runtime.run.executor import SLOTS

GPU = "cuda:0"
WIDTH = 512
VALUE = 4 * WIDTH
WEIGHT = 4 * WIDTH * WIDTH


@pytest.fixture
def chain(tmp_path):
    """Three products with one weight, and a Neg between the first two: x a b c y."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Neg", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "w"], ["c"]),
        helper.make_node("MatMul", ["c", "w"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, WIDTH]) for name in "xabcy"]
    weight = numpy_helper.from_array(np.ones((WIDTH, WIDTH), np.float32), "w")
    made = helper.make_graph(nodes, "chain", values[:1], values[-1:], [weight], value_info=values[1:-1])
    return Graph(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path)


def shapes():
    return dict.fromkeys("xabcy", (1, WIDTH))


def stages(*groups, lane=f"{GPU}/0"):
    return [Stage(nodes=nodes, lanes=(lane,)) for nodes in groups]


def taken(graph, groups, **more):
    return gpu_bytes(graph, shapes(), sessions(graph, groups), weights(graph), 1000, **more)


def weights(graph):
    return {GPU: [graph.constant_bytes(node) for node in range(len(graph.nodes))]}


def test_one_stage_has_its_weights_bound_values_for_each_slot_and_what_it_holds_inside(chain):
    found = taken(chain, stages((0, 1, 2, 3)))
    assert found.weights == 3 * WEIGHT, "as its nodes say"
    assert found.activations == SLOTS * 2 * VALUE + 2 * VALUE
    assert (found.workspace, found.context) == (0, 1000)


def test_a_value_between_two_stages_of_a_device_is_there_once(chain):
    found = taken(chain, stages((0, 1), (2, 3)))
    inner = inner_bytes(chain, shapes(), sessions(chain, stages((0, 1), (2, 3))))
    assert found.activations == SLOTS * 3 * VALUE + inner


def test_stages_that_are_alike_share_a_session_and_its_weights(chain):
    alone = taken(chain, stages((0,), (1,), (2,), (3,)))
    assert alone.weights == WEIGHT
    apart = [*stages((0,), (1,), (2,)), *stages((3,), lane=f"{GPU}/1")]
    assert taken(chain, apart).weights == 2 * WEIGHT, "another stream, another session"


def test_each_session_has_an_arena_of_its_own(chain):
    graphs = stages((0, 1), (2, 3))
    inner = inner_bytes(chain, shapes(), sessions(chain, graphs))
    assert inner == sum(peak_bytes(chain, shapes(), one.nodes) for one in graphs) > 0


def test_each_session_takes_its_workspace_and_the_largest_of_its_nodes(chain):
    scratch = {GPU: [10, 0, 30, 20]}
    found = taken(chain, stages((0, 1), (2, 3)), scratch=scratch, session_bytes={GPU: 500})
    assert found.workspace == 2 * 500 + 10 + 30


def test_an_arena_holds_weights_values_inside_and_workspace_and_at_first_what_the_session_makes(chain):
    scratch = {GPU: [10, 0, 300, 20]}
    (one,) = sessions(chain, stages((0, 1, 2, 3)))
    assert arena_bytes(chain, shapes(), one, weights(chain), scratch) == 3 * WEIGHT + 2 * VALUE + VALUE + 512
    (shared, neg) = sessions(chain, stages((0,), (1,), (2,), (3,)))
    assert (shared.stages, neg.stages) == ((0, 2, 3), (1,))
    assert arena_bytes(chain, shapes(), shared, weights(chain), scratch) == WEIGHT + 3 * VALUE + 256
    assert arena_bytes(chain, shapes(), neg, weights(chain), scratch) == VALUE


def test_the_host_takes_nothing(chain):
    assert taken(chain, stages((0, 1, 2, 3), lane="cpu/0")).total == 0


def test_the_arena_hands_out_multiples(chain):
    assert [chunks(nbytes) for nbytes in (0, 1, 256, 257)] == [0, 256, 256, 512]


def test_the_host_has_a_weight_once_for_each_engine(chain):
    cpu = stages((0, 1), (2, 3), lane="cpu/0")
    assert host_bytes(chain, cpu) == host_bytes(chain, stages((0, 1, 2, 3), lane="cpu/0")) == WEIGHT
    by_two = [cpu[0], cpu[1].model_copy(update={"engine": "openvino"})]
    assert host_bytes(chain, by_two) == 2 * WEIGHT
    assert host_bytes(chain, stages((0, 1, 2, 3))) == 0
