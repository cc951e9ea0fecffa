"""The physical limit: what of a recurrent layer it counts, and at which of the measured speeds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from chrion_bench.physical import physical_seconds, read_rate
from chrion_graph.graph import Graph

STEPS, BATCH, WIDTH, UNITS = 10, 2, 4, 8


def speeds(flops: float, *reads: tuple[int, float]) -> dict[str, Any]:
    return {
        "flopsPerSecond": {"oneCore": flops / 2, "allCores": flops},
        "reads": [{"bytes": size, "bytesPerSecond": {"oneCore": rate, "allCores": rate}} for size, rate in reads],
    }


def value_info(name: str, *shape: int) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape or None)


def rnn(folder: Path, directions: int = 1, lengths: bool = False) -> Graph:
    """One layer, and a MatMul of what it reads."""
    weights = {
        "w": (directions, UNITS, WIDTH),
        "r": (directions, UNITS, UNITS),
        "m": (WIDTH, 3),
    }
    inputs = ["x", "w", "r", *(["", "lengths"] if lengths else [])]
    direction = "bidirectional" if directions == 2 else "forward"
    nodes = [
        helper.make_node("RNN", inputs, ["y"], hidden_size=UNITS, direction=direction),
        helper.make_node("MatMul", ["x", "m"], ["z"]),
    ]
    given = [value_info("x", STEPS, BATCH, WIDTH)]
    if lengths:
        given.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, [BATCH]))
    made = [value_info(name) for name in "yz"]
    held = [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in weights.items()]
    return Graph(helper.make_model(helper.make_graph(nodes, "g", given, made, held)), folder)


SHAPES = {"x": (STEPS, BATCH, WIDTH), "y": (STEPS, 1, BATCH, UNITS), "z": (STEPS, BATCH, 3)}
MATMUL = 2 * STEPS * BATCH * 3 * WIDTH


def test_where_reading_is_fast_arithmetic_is_the_limit(tmp_path: Path) -> None:
    layer = 2 * STEPS * BATCH * UNITS * (WIDTH + UNITS)
    found = physical_seconds(rnn(tmp_path), SHAPES, {}, speeds(1e9, (1024, 1e15)), cores=2)
    assert found == pytest.approx((layer + MATMUL) / 1e9)


@pytest.mark.parametrize("directions", [1, 2])
def test_recurrent_weights_are_read_at_every_step(tmp_path: Path, directions: int) -> None:
    found = physical_seconds(rnn(tmp_path, directions), SHAPES, {}, speeds(1e15, (1024, 1e6)), cores=2)
    assert found == pytest.approx(STEPS * directions * UNITS * UNITS * 4 / 1e6)


def test_rows_that_end_early_count_their_own_steps(tmp_path: Path) -> None:
    graph, feeds = rnn(tmp_path, lengths=True), {"lengths": np.array([3, 1], np.int32)}
    reading = speeds(1e15, (1024, 1e6))
    assert physical_seconds(graph, SHAPES, feeds, reading, 2) == pytest.approx(3 * UNITS * UNITS * 4 / 1e6)
    computing = speeds(1e9, (1024, 1e15))
    layer = 2 * 4 * UNITS * (WIDTH + UNITS)
    assert physical_seconds(graph, SHAPES, feeds, computing, 2) == pytest.approx((layer + MATMUL) / 1e9)
    assert physical_seconds(graph, SHAPES, {}, computing, 2) == pytest.approx(MATMUL / 1e9), "not known: nothing"


def test_reading_is_as_fast_as_the_cache_that_holds_so_much() -> None:
    measured = speeds(1.0, (1 << 14, 400.0), (1 << 16, 100.0), (1 << 18, 120.0))
    assert read_rate(measured, 1000, cores=2) == 200, "less than was measured: as the least"
    assert read_rate(measured, 1 << 15, cores=2) == 200, "the next size below: it is a lower bound"
    assert read_rate(measured, 1 << 16, cores=2) == 60, "no slower than more bytes"
    assert read_rate(measured, 1 << 30, cores=2) == 60


def test_without_speeds_there_is_no_limit(tmp_path: Path) -> None:
    assert physical_seconds(rnn(tmp_path), SHAPES, {}, {"absent": "no compiler"}, 2) is None


def test_a_model_with_nodes_within_nodes_has_no_limit(tmp_path: Path) -> None:
    branch = helper.make_graph([helper.make_node("Identity", ["x"], ["b"])], "b", [], [value_info("b")])
    node = helper.make_node("If", ["which"], ["y"], then_branch=branch, else_branch=branch)
    given = [value_info("x"), helper.make_tensor_value_info("which", TensorProto.BOOL, [])]
    graph = Graph(helper.make_model(helper.make_graph([node], "g", given, [value_info("y")])), tmp_path)
    assert physical_seconds(graph, {}, {}, speeds(1e9, (1024, 1e9)), 2) is None
