"""A GRU whose reset gate comes before the product becomes one where it comes after, but only where that is the same."""

from pathlib import Path

import numpy as np
import pytest

from chrion_api import Rewrite
from chrion_graph.equality import difference
from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.observe import evaluate
from chrion_graph.rewrite import replay, reset_after
from tests.support.one_layer import HIDDEN, OneLayer
from tests.support.partition import BASIC, normalised, reference

DIRECTIONS = pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])


def diagonal(directions: int) -> np.ndarray:
    """R in which the hidden gate mixes no units."""
    made = np.random.default_rng(5).standard_normal((directions, 3 * HIDDEN, HIDDEN)).astype(np.float32)
    made[:, 2 * HIDDEN :] *= np.eye(HIDDEN, dtype=np.float32)
    return made


def check(layer: OneLayer, folder: Path) -> Graph:
    graph = normalised(layer.model(), folder)
    (parameters,) = reset_after.propose(graph, range(len(graph.nodes)))
    rewritten = replay(graph, [Rewrite(name="reset-after", parameters=dict(parameters))])
    (node,) = (node for node in rewritten.nodes if node.op_type == "GRU")
    assert [entry.i for entry in node.attribute if entry.name == "linear_before_reset"] == [1]
    found = evaluate(rewritten, layer.feeds, rewritten.outputs.keys())
    assert difference(found, reference(folder / "original.onnx", layer.feeds, BASIC)) == ""
    return rewritten


@DIRECTIONS
@pytest.mark.parametrize("given", [(), ("B",), ("B", "h"), ("B", "lengths")], ids=str)
def test_with_a_hidden_gate_that_mixes_no_units(direction, given, tmp_path):
    directions = 2 if direction == "bidirectional" else 1
    check(OneLayer("GRU", direction, given, changes={"R": diagonal(directions)}), tmp_path)


@DIRECTIONS
def test_one_step_from_nothing(direction, tmp_path):
    check(OneLayer("GRU", direction, steps=1), tmp_path)


def test_one_step_from_a_state_of_zero(tmp_path):
    zero = np.zeros((1, 3, HIDDEN), np.float32)
    check(OneLayer("GRU", given=("B", "h"), steps=1, changes={"h": zero}), tmp_path)


def test_others_are_left_alone(tmp_path):
    for number, layer in enumerate(
        (
            OneLayer("GRU"),
            OneLayer("GRU", given=("B", "h"), fed=("X", "h"), steps=1),
            OneLayer("GRU", attributes={"linear_before_reset": 1}, steps=1),
            OneLayer("GRU", attributes={"clip": 0.5}, steps=1),
            OneLayer("GRU", open_axes={0: "time"}),
            OneLayer("LSTM", steps=1),
        )
    ):
        assert reset_after.candidates(normalised(layer.model(), tmp_path / str(number))) == (), layer


def test_the_difference_would_be_seen(tmp_path):
    layer = OneLayer("GRU")
    graph = normalised(layer.model(), tmp_path)
    expected = reference(tmp_path / "original.onnx", layer.feeds, BASIC)
    other = OneLayer("GRU", attributes={"linear_before_reset": 1})
    assert difference(reference(other.model(), layer.feeds, BASIC), expected)
    assert len(graph.nodes) == 1


@pytest.mark.parametrize("nodes", [None, [], [1], [[0]], "0"])
def test_refuses_parameters_that_do_not_fit(nodes, tmp_path):
    graph = normalised(OneLayer("GRU", steps=1).model(), tmp_path)
    with pytest.raises(RewriteError, match=r"reset-after: nodes .* are not GRU nodes"):
        replay(graph, [Rewrite(name="reset-after", parameters={"nodes": nodes})])
