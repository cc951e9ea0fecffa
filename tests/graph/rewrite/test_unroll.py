"""Recurrent layers taken apart into cells answer as ONNX Runtime's own nodes do, whatever options they use."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chrion_api import Rewrite
from chrion_graph.equality import difference
from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.observe import evaluate
from chrion_graph.recurrent import RECURRENT
from chrion_graph.rewrite import replay, unroll
from chrion_models.families.stack import GATES
from tests.support.one_layer import HIDDEN, STEPS, OneLayer
from tests.support.partition import BASIC, normalised, reference

KINDS = pytest.mark.parametrize("kind", GATES)
DIRECTIONS = pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])


def taken_apart(graph: Graph) -> Graph:
    (parameters,) = unroll.propose(graph, unroll.candidates(graph))
    return replay(graph, [Rewrite(name="unroll", parameters=dict(parameters))])


def check(layer: OneLayer, folder: Path) -> Graph:
    """The layer taken apart, its answers and what it declares of its values compared."""
    rewritten = taken_apart(normalised(layer.model(), folder))
    assert not {node.op_type for node in rewritten.nodes} & set(RECURRENT)
    found = evaluate(rewritten, layer.feeds, rewritten.outputs.keys())
    assert difference(found, reference(folder / "original.onnx", layer.feeds, BASIC)) == ""
    there = evaluate(rewritten, layer.feeds, rewritten.types.keys() - rewritten.inputs.keys())
    for name, array in there.items():
        kind = rewritten.types[name]
        assert kind.dtype == array.dtype, name
        sizes = zip(kind.shape or array.shape, array.shape, strict=True)
        assert all(not isinstance(axis, int) or axis == size for axis, size in sizes), name
    return rewritten


OPTIONS: dict[str, dict[str, Any]] = {
    "no bias": {"given": ()},
    "bias": {},
    "states": {"given": ("B", "h", "c"), "fed": ("X", "h", "c")},
    "constant states": {"given": ("B", "h", "c")},
    "states of zero": {
        "given": ("B", "h", "c"),
        "changes": {name: np.zeros((2, 3, HIDDEN), np.float32) for name in "hc"},
    },
    "sequence only": {"outputs": ["Y"]},
    "final state only": {"outputs": ["", "Y_h"]},
    "clip": {"attributes": {"clip": 0.3}, "given": ("B", "h", "c")},
    "one step": {"steps": 1},
    "open batch": {"open_axes": {1: "batch"}},
}


@KINDS
@DIRECTIONS
@pytest.mark.parametrize("option", OPTIONS)
def test_the_answers_are_the_same(kind, direction, option, tmp_path):
    settings = dict(OPTIONS[option])
    if "changes" in settings and direction != "bidirectional":
        settings["changes"] = {name: array[:1] for name, array in settings["changes"].items()}
    if kind != "LSTM":
        for field in ("given", "fed"):
            settings[field] = tuple(
                name for name in settings.get(field, ("B",) if field == "given" else ("X",)) if name != "c"
            )
    check(OneLayer(kind, direction, **settings), tmp_path)


@DIRECTIONS
@pytest.mark.parametrize("linear", [0, 1])
@pytest.mark.parametrize("given", [(), ("B",), ("B", "h")], ids=["no bias", "bias", "state"])
def test_gru_with_its_reset_gate_before_or_after(direction, linear, given, tmp_path):
    check(OneLayer("GRU", direction, given, attributes={"linear_before_reset": linear}), tmp_path)


@DIRECTIONS
@pytest.mark.parametrize("given", [("B", "P"), ("B", "P", "h", "c"), ("P",), ("B", "P", "c")], ids=str)
@pytest.mark.parametrize("attributes", [{}, {"clip": 0.5}, {"input_forget": 1}], ids=str)
def test_lstm_with_peepholes(direction, given, attributes, tmp_path):
    check(OneLayer("LSTM", direction, given, attributes=attributes), tmp_path)


@KINDS
@DIRECTIONS
def test_other_activations(kind, direction, tmp_path):
    count = {"LSTM": 3, "GRU": 2, "RNN": 1}[kind]
    names = [*["HardSigmoid", "Relu", "Tanh"][:count], *["Sigmoid", "Tanh", "Relu"][:count]]
    both = direction == "bidirectional"
    check(OneLayer(kind, direction, attributes={"activations": names if both else names[:count]}), tmp_path)


@KINDS
def test_parameters_of_activations_go_to_those_that_take_some(kind, tmp_path):
    count = {"LSTM": 3, "GRU": 2, "RNN": 1}[kind]
    names = ["HardSigmoid", "Tanh", "HardSigmoid"][:count]
    taking = names.count("HardSigmoid")
    attributes = {"activations": names, "activation_alpha": [0.3, 0.1][:taking], "activation_beta": [0.4, 0.6][:taking]}
    check(OneLayer(kind, attributes=attributes), tmp_path)


@KINDS
@pytest.mark.parametrize("opset", [7, 9, 10, 11, 12, 13, 14, 17, 18, 21, 22])
def test_opsets(kind, opset, tmp_path):
    given = ("B", "h", "c", "P") if kind == "LSTM" else ("B", "h")
    check(OneLayer(kind, "bidirectional", given, attributes={"clip": 2.0}, opset=opset), tmp_path)


def test_other_element_types(tmp_path):
    """Which ONNX Runtime's own nodes do not have on the CPU."""
    settings = {"given": ("B", "P", "h", "c"), "attributes": {"clip": 1.0}}
    single, double = OneLayer("LSTM", **settings), OneLayer("LSTM", dtype=np.float64, **settings)
    rewritten = taken_apart(normalised(double.model(), tmp_path))
    found = evaluate(rewritten, double.feeds, rewritten.outputs.keys())
    assert {array.dtype for array in found.values()} == {np.dtype(np.float64)}
    expected = reference(single.model(), single.feeds, BASIC)
    assert difference({name: array.astype(np.float32) for name, array in found.items()}, expected) == ""


@KINDS
def test_each_step_takes_a_dozen_nodes_at_most(kind, tmp_path):
    graph = check(OneLayer(kind, given=("B", "h")), tmp_path)
    assert len(graph.nodes) <= 12 * STEPS + 8
    assert sum(node.op_type == "MatMul" and node.input[0] == "X" for node in graph.nodes) <= 2


def test_what_is_refused(tmp_path):
    for number, layer in enumerate(
        (
            OneLayer("GRU", given=("B", "lengths")),
            OneLayer("GRU", given=("B", "lengths"), fed=("X", "lengths")),
            OneLayer("GRU", fed=("X", "R")),
            OneLayer("GRU", open_axes={0: "time"}),
            OneLayer("GRU", steps=unroll.MOST_CELLS + 1),
            OneLayer(
                "RNN", attributes={"activations": ["Affine"], "activation_alpha": [0.5], "activation_beta": [0.1]}
            ),
        )
    ):
        assert unroll.candidates(normalised(layer.model(), tmp_path / str(number))) == (), layer


def test_only_the_nodes_asked_for_are_taken_apart(tmp_path):
    graph = normalised(OneLayer("GRU").model(), tmp_path)
    assert list(unroll.propose(graph, ())) == []
    assert list(unroll.propose(graph, (0,))) == [{"nodes": [0]}]


@pytest.mark.parametrize("nodes", [None, [], [1], [-1], ["0"], [0.0], [[0]], [0, 0]])
def test_refuses_parameters_that_do_not_fit(nodes, tmp_path):
    graph = normalised(OneLayer("GRU").model(), tmp_path)
    with pytest.raises(RewriteError, match=r"unroll: nodes .* are not recurrent nodes"):
        replay(graph, [Rewrite(name="unroll", parameters={"nodes": nodes})])
