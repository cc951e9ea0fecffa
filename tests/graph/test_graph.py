"""The graph as the planner sees it: what nodes read and write, bytes on edges, values that cannot be parted."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from chrion_graph.errors import InvalidModel
from chrion_graph.graph import Graph
from chrion_graph.observe import observe
from chrion_models.families import find
from chrion_models.inputs import random_inputs
from tests.support.control_flow import MODELS, TextModel
from tests.support.partition import normalised


def test_bodies_count_among_what_a_node_reads(tmp_path: Path) -> None:
    graph = normalised(MODELS["loop-in-if-in-scan"].build(), tmp_path)
    scan = next(index for index, node in enumerate(graph.nodes) if node.op_type == "Scan")
    assert set(graph.reads[scan]) == {"x", "table", "trips", "a", "b"}
    assert graph.writes[scan] == ("last",)
    assert scan in graph.consumers["trips"]
    dag = graph.dag({})
    assert {graph.nodes[index].op_type for index in dag.predecessors(scan)} == {"Neg", "Sigmoid"}


def test_edges_carry_bytes(tmp_path: Path) -> None:
    text = """wide (float[N,M] x) => (float[N,M] y, int64[N] m) {
      a = Exp (x)
      y = Mul (a, a)
      m = ArgMax <keepdims = 0, axis = 1> (y)
    }"""
    graph = normalised(TextModel(text, ()).build(), tmp_path)
    shapes = observe(graph, {"x": np.zeros((3, 5), np.float32)})
    assert shapes == {"x": (3, 5), "a": (3, 5), "y": (3, 5), "m": (3,)}
    assert [data for *_, data in graph.dag(shapes).edges(data="bytes")] == [60, 60]
    assert graph.value_bytes("m", shapes) == 24
    assert graph.value_bytes("m", {}) == 0


def test_weights_count_where_they_are_read(tmp_path: Path) -> None:
    case = find("gru-bidirectional-l2-h16-s8-b2")
    graph = normalised(case.build(), tmp_path)
    weights = [graph.constant_bytes(index) for index, node in enumerate(graph.nodes) if node.op_type == "GRU"]
    gates, hidden = 3 * 16, 16
    assert weights == [
        4 * 2 * gates * (hidden + hidden + 2),
        4 * 2 * gates * (2 * hidden + hidden + 2),
    ]


def test_types_are_known_of_every_tensor(tmp_path: Path) -> None:
    case = find("crnn-c4-h16-w48-b1")
    model = case.build()
    graph = normalised(model, tmp_path)
    shapes = observe(graph, random_inputs(model, case.inputs))
    assert graph.types.keys() == shapes.keys() == graph.inputs.keys() | graph.producer.keys()


def test_values_that_are_no_tensors_join_their_nodes(tmp_path: Path) -> None:
    text = """tied (float[N] x) => (float[M] y) {
      a = Neg (x)
      list = SequenceConstruct (a, x)
      y = ConcatFromSequence <axis = 0> (list)
    }"""
    graph = normalised(TextModel(text, ()).build(), tmp_path)
    assert list(graph.joined()) == [(graph.producer["list"], graph.producer["y"])]
    assert "list" not in graph.types


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    text = "one (float[N] x) => (float[N] y) <float[1] k = {2.0}> { y = Mul (x, k) }"
    first = normalised(TextModel(text, ()).build(), tmp_path / "first")
    again = normalised(TextModel(text, ()).build(), tmp_path / "again")
    other = normalised(TextModel(text.replace("2.0", "3.0"), ()).build(), tmp_path / "other")
    assert first.digest == again.digest != other.digest


def test_refuses_nodes_out_of_order(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> one (float[N] x) => (float[N] y) { y = Exp (a) a = Neg (x) }'
    )
    with pytest.raises(InvalidModel, match=r'node 0 \(Exp\) reads "a", which no earlier node makes'):
        Graph(model, tmp_path)
