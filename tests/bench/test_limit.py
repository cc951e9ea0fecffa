"""The limit: what of a model's weights one run touches, and the share of the way to it that a plan has gone."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from chrion_bench.limit import family_gap_closed, gap_closed, limit_seconds, weights_touched
from chrion_graph.graph import Graph
from chrion_models.families import find


def weight(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.zeros(shape, np.float32), name)


def value(name: str, kind: int, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def test_weights_that_steps_share_count_once(tmp_path: Path) -> None:
    model = find("unrolled-gru-l2-h16-s4-b1-gemm-split").build()
    graph = Graph(model, tmp_path)
    cell = 2 * (48 * 16 + 48) * 4
    assert 2 * cell <= weights_touched(graph, {}) < 2 * cell + 400, "and a few numbers of Gather and Split"


def test_of_a_table_only_the_rows_looked_up_count(tmp_path: Path) -> None:
    nodes = [helper.make_node("Gather", ["table", "tokens"], ["y"])]
    inputs, outputs = [value("tokens", TensorProto.INT64, 3)], [value("y", TensorProto.FLOAT, 3, 8)]
    graph = Graph(
        helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, [weight("table", 1000, 8)])), tmp_path
    )
    assert weights_touched(graph, {"tokens": (3,), "y": (3, 8)}) == 3 * 8 * 4


def test_of_an_if_the_larger_branch_counts(tmp_path: Path) -> None:
    outer = weight("outer", 100)

    def branch(name: str, own: onnx.TensorProto, *others: str) -> onnx.GraphProto:
        node = helper.make_node("Sum", [own.name, *others], [f"{name}.y"])
        return helper.make_graph([node], name, [], [value(f"{name}.y", TensorProto.FLOAT, 100)], [own])

    node = helper.make_node(
        "If",
        ["which"],
        ["y"],
        then_branch=branch("then", weight("one", 100)),
        else_branch=branch("else", weight("two", 100), "outer"),
    )
    inputs, outputs = [value("which", TensorProto.BOOL)], [value("y", TensorProto.FLOAT, 100)]
    graph = Graph(helper.make_model(helper.make_graph([node], "g", inputs, outputs, [outer])), tmp_path)
    assert weights_touched(graph, {}) == 2 * 100 * 4


def test_the_limit_is_the_larger_of_work_and_memory() -> None:
    assert limit_seconds(1.0, 2, 100, 1000.0) == 0.5
    assert limit_seconds(1.0, 2, 900, 1000.0) == 0.9


def test_share_of_the_gap() -> None:
    assert gap_closed(1.0, 0.7, 0.5) == pytest.approx(0.6)
    assert gap_closed(1.0, 1.1, 0.5) == pytest.approx(-0.2)
    assert gap_closed(1.0, 0.4, 0.5) == pytest.approx(1.2), "a rewrite can go below the limit"
    assert gap_closed(0.505, 0.5, 0.5) is None, "there is nothing to close"


def test_large_and_small_models_weigh_alike() -> None:
    large, small, at_limit = (100.0, 100.0, 50.0), (1.0, 0.5, 0.5), (1.0, 0.1, 1.0)
    assert family_gap_closed([large, small, at_limit]) == pytest.approx(0.5)
    assert family_gap_closed([at_limit]) is None
