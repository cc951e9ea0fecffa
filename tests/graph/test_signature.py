"""Nodes that cost the same share a signature; anything that could change the cost changes it."""

from pathlib import Path

import pytest

from chrion_graph.graph import Graph, Shapes
from chrion_graph.observe import observe
from chrion_graph.signature import signature, signatures
from chrion_models.families import find
from chrion_models.inputs import random_inputs
from tests.support.control_flow import TextModel
from tests.support.partition import normalised

SHAPES: Shapes = {"x": (4, 6), "w": (4, 6), "d": (4, 6), "a": (4, 6), "b": (4, 6), "c": (4, 6), "e": (4, 6)}


def of_text(text: str, folder: Path) -> Graph:
    return normalised(TextModel(text, ()).build(), folder)


def of_value(graph: Graph, name: str, shapes: Shapes = SHAPES) -> str:
    """The signature of the node that makes a value."""
    return signature(graph, graph.producer[name], shapes)


def test_a_grid_has_few_kinds_of_nodes(tmp_path: Path) -> None:
    case = find("unrolled-lstm-l2-h16-s4-b1-gemm-split")
    model = case.build()
    graph = normalised(model, tmp_path)
    shapes = observe(graph, random_inputs(model, case.inputs))
    found = signatures(graph, shapes)
    assert len(found) == len(graph.nodes)
    kinds: dict[str, set[str]] = {}
    for node, name in zip(graph.nodes, found, strict=True):
        assert name.startswith(f"{node.op_type}-")
        kinds.setdefault(node.op_type, set()).add(name)
    for op_type in ("Gemm", "Split", "Sigmoid", "Tanh", "Mul"):
        assert len(kinds[op_type]) == 1
    # Those of gates are four times as wide as those of states.
    assert len(kinds["Add"]) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Softmax <axis = 0> (x)", "Softmax <axis = 1> (x)"),
        ("Softmax <axis = 0> (x)", "LogSoftmax <axis = 0> (x)"),
        ("Mul (x, w)", "Mul (x, k)"),
        ("Mul (x, k)", "Mul (x, row)"),
        ("Clip (x, low)", "Clip (x, , low)"),
        ("Abs (x)", "Abs (d)"),
        ("Cast <to = 1> (d)", "Cast <to = 7> (d)"),
        ("Transpose <perm = [0, 1]> (x)", "Transpose <perm = [1, 0]> (x)"),
    ],
)
def test_what_differs_in_cost_differs(one: str, other: str, tmp_path: Path) -> None:
    text = f"""two (float[4,6] x, float[4,6] w, double[4,6] d) => (a, b)
      <float[1] k = {{2.0}}, float[6] row = {{1.0, 2.0, 3.0, 4.0, 5.0, 6.0}}, float low = {{0.0}}>
      {{ a = {one} b = {other} }}"""
    graph = of_text(text, tmp_path)
    assert of_value(graph, "a") != of_value(graph, "b")


def test_shapes_and_not_names_or_values_count(tmp_path: Path) -> None:
    text = """four (float[4,6] x, float[4,6] w) => (float[4,6] a, float[4,6] b)
      <float[1] k = {2.0}, float[1] l = {3.0}> { a = Mul (x, k) b = Mul (w, l) }"""
    graph = of_text(text, tmp_path)
    assert of_value(graph, "a") == of_value(graph, "b")
    assert of_value(graph, "a") != of_value(graph, "b", {**SHAPES, "w": (5, 6)})
    assert of_value(graph, "a") != of_value(graph, "b", {**SHAPES, "b": (5, 6)})


def test_bodies_count_and_their_names_do_not(tmp_path: Path) -> None:
    text = """three (bool p, float[4,6] x, float[4,6] w) => (float[4,6] a, float[4,6] b, float[4,6] c) {
      a = If (p) <
        then_branch = yes () => (float[4,6] t) { s = Exp (x) t = Neg (s) },
        else_branch = no () => (float[4,6] e) { e = Neg (x) }
      >
      b = If (p) <
        then_branch = oui () => (float[4,6] u) { v = Exp (w) u = Neg (v) },
        else_branch = non () => (float[4,6] f) { f = Neg (w) }
      >
      c = If (p) <
        then_branch = ja () => (float[4,6] g) { h = Exp (x) g = Abs (h) },
        else_branch = nein () => (float[4,6] i) { i = Neg (x) }
      >
    }"""
    graph = of_text(text, tmp_path)
    assert of_value(graph, "a") == of_value(graph, "b")
    assert of_value(graph, "a") != of_value(graph, "c")


def test_the_opset_counts(tmp_path: Path) -> None:
    model = TextModel("one (float[4,6] x) => (float[4,6] a) { a = Softmax (x) }", ()).build()
    newer = normalised(model, tmp_path / "newer")
    model.opset_import[0].version = 11
    older = normalised(model, tmp_path / "older")
    assert signature(newer, 0, SHAPES) != signature(older, 0, SHAPES)
