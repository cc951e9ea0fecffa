"""Ifs that a bucket decides are inlined; others stay."""

import numpy as np
import pytest
from onnx import numpy_helper, parser

from chrion_api import Rewrite
from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.observe import evaluate
from chrion_graph.rewrite import replay
from chrion_graph.rewrite.inline_ifs import NAME, Assumption, assumption, decided
from tests.support.partition import normalised

HEAD = '<ir_version: 8, opset_import: ["" : 18]>\n'

BY_RATE = """g (float[b, t] x, int64 rate) => (float[b, u] y) {
    wide = Constant <value = int64 {16000}> ()
    is_wide = Equal(rate, wide)
    y = If (is_wide) <
        then_branch = a () => (float[b, u] out) { w = Tanh(x)\n out = Relu(w) },
        else_branch = b () => (float[b, u] out) { w = Neg(x)\n v = Relu(w)\n out = Add(v, w) }
    >
}"""

BY_SHAPE = """g (float[b, t] x) => (float[u] y) {
    s = Tanh(x)
    axes = Shape(s)
    first = Gather(axes, zero)
    one = Constant <value = int64 {1}> ()
    alone = Equal(first, one)
    y = If (alone) <
        then_branch = a () => (float[u] out) { out = Squeeze(s, axis) },
        else_branch = b () => (float[u] out) { out = ReduceSum <keepdims = 0> (s, axis) }
    >
}"""

NESTED = """g (float[b, t] x, int64 rate, bool loud) => (float[b, t] y, float[b, t] z) {
    wide = Constant <value = int64 {16000}> ()
    is_wide = Equal(rate, wide)
    y, z = If (is_wide) <
        then_branch = a () => (float[b, t] p, float[b, t] q) {
            w = Tanh(x)
            same = Equal(rate, rate)
            p = If (same) < then_branch = c () => (float[b, t] w2) { w2 = Relu(w) },
                            else_branch = d () => (float[b, t] w2) { w2 = Neg(w) } >
            q = If (loud) < then_branch = c () => (float[b, t] w2) { w2 = Add(w, x) },
                            else_branch = d () => (float[b, t] w2) { w2 = Identity(w) } >
        },
        else_branch = b () => (float[b, t] p, float[b, t] q) { p = Neg(x)\n q = Identity(x) }
    >
}"""

PASSED_ON = """g (float[b, t] x, int64 rate) => (float[b, t] y, float[b, t] z) {
    wide = Constant <value = int64 {16000}> ()
    is_wide = Equal(rate, wide)
    same, y = If (is_wide) <
        then_branch = a () => (float[b, t] p, float[b, t] q) { p = Identity(x)\n q = Identity(x) },
        else_branch = b () => (float[b, t] p, float[b, t] q) { p = Neg(x)\n q = Neg(x) }
    >
    z = Tanh(same)
}"""


@pytest.fixture
def graph_of(tmp_path):
    def build(text, **constants):
        model = parser.parse_model(HEAD + text)
        model.graph.initializer.extend(numpy_helper.from_array(np.array(v), name) for name, v in constants.items())
        return normalised(model, tmp_path)

    return build


def inlined(graph, shapes, values):
    """The graph with what is decided inlined, and the rewrite; its answers are those of the graph as it is."""
    parameters = decided(graph.model.SerializeToString(), graph.folder, shapes, values)
    rewrite = Rewrite(name=NAME, parameters=parameters)
    found = replay(graph, [Rewrite.from_json(rewrite.to_json())])
    random = np.random.default_rng(0)
    feeds = {
        name: np.full(shapes[name], values[name], kind.dtype)
        if name in values
        else random.standard_normal(shapes[name]).astype(kind.dtype)
        for name, kind in graph.inputs.items()
    }
    expected, answers = (evaluate(one, feeds, list(graph.outputs)) for one in (graph, found))
    for name, value in expected.items():
        np.testing.assert_array_equal(answers[name], value)
    return found, rewrite


def operators(graph: Graph):
    return [node.op_type for node in graph.nodes]


@pytest.mark.parametrize(("rate", "wanted"), [(16000, ["Tanh", "Relu"]), (8000, ["Neg", "Relu", "Add"])])
def test_a_value_decides(graph_of, rate, wanted):
    graph = graph_of(BY_RATE)
    found, rewrite = inlined(graph, {"x": (2, 3), "rate": ()}, {"rate": rate})
    assert operators(found) == wanted
    assert assumption([rewrite]) == Assumption({}, {"rate": rate})
    assert all(found.types[name].element == 1 for names in found.writes for name in names)


def test_without_the_value_nothing_is_decided(graph_of):
    graph = graph_of(BY_RATE)
    assert decided(graph.model.SerializeToString(), graph.folder, {"x": (2, 3), "rate": ()}, {}) is None


def test_an_axis_of_one_element_decides_whatever_the_other_axes_are(graph_of):
    graph = graph_of(BY_SHAPE, zero=0, axis=[0])
    found, rewrite = inlined(graph, {"x": (1, 3)}, {})
    assert "Squeeze" in operators(found)
    assert assumption([rewrite]) == Assumption({"x": (1, None)})


def test_other_axes_decide_where_they_must(graph_of):
    graph = graph_of(BY_SHAPE, zero=0, axis=[0])
    found, rewrite = inlined(graph, {"x": (2, 3)}, {})
    assert "ReduceSum" in operators(found)
    assert assumption([rewrite]) == Assumption({"x": (2, 3)})


def test_ifs_inside_are_inlined_as_far_as_they_are_decided(graph_of):
    graph = graph_of(NESTED)
    found, _ = inlined(graph, {"x": (2, 3), "rate": (), "loud": ()}, {"rate": 16000})
    assert operators(found).count("If") == 1
    assert "Relu" in operators(found)
    found, _ = inlined(graph, {"x": (2, 3), "rate": (), "loud": ()}, {"rate": 16000, "loud": True})
    assert "If" not in operators(found)


def test_what_a_branch_only_passes_on_keeps_its_value(graph_of):
    found, _ = inlined(graph_of(PASSED_ON), {"x": (2, 3), "rate": ()}, {"rate": 16000})
    assert sorted(operators(found)) == ["Identity", "Tanh"]


def test_values_with_the_same_name_in_two_branches_stay_apart(graph_of):
    text = BY_RATE.replace("float[b, u] y)", "float[b, u] y, float[b, u] z)").replace(
        "\n}",
        "\n z = If (is_wide) < then_branch = a () => (float[b, u] out) { w = Neg(x)\n out = Relu(w) },"
        " else_branch = b () => (float[b, u] out) { out = Abs(x) } >\n}",
    )
    found, _ = inlined(graph_of(text), {"x": (2, 3), "rate": ()}, {"rate": 16000})
    assert sorted(operators(found)) == ["Neg", "Relu", "Relu", "Tanh"]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"branches": []},
        {"branches": [["is_wide", 1]]},
        {"branches": [["no such value", True]]},
        {"branches": [["is_wide", True]], "types": {"y": "float"}},
    ],
)
def test_parameters_that_do_not_fit_are_refused(graph_of, parameters):
    with pytest.raises(RewriteError, match=NAME):
        replay(graph_of(BY_RATE), [Rewrite(name=NAME, parameters=parameters)])


def test_an_assumption_holds_for_what_it_names_alone():
    assumed = Assumption({"x": (1, None)}, {"rate": 16000})
    assert str(assumed) == "x 1x?, rate 16000"
    rate = {"rate": np.array(16000)}
    planned = {"x": (1, 7), "rate": ()}
    assert assumed.holds({"x": (1, 7), "rate": ()}, rate, planned)
    assert not assumed.holds({"x": (2, 7), "rate": ()}, rate, planned)
    assert not assumed.holds({"x": (1, 7, 1), "rate": ()}, rate, planned)
    assert not assumed.holds({"rate": ()}, rate, planned)
    assert not assumed.holds({"x": (1, 7), "rate": ()}, {"rate": np.array(8000)}, planned)
    assert not assumed.holds({"x": (1, 7)}, {}, planned), "state that was carried may be anything"
    assert not assumed.holds(planned, {"rate": np.array([16000])}, planned), "ONNX Runtime decides what that means"


@pytest.mark.parametrize("parameters", [{"shapes": {"x": 1}}, {"shapes": {"x": ["1"]}}, {"values": {"x": "y"}}])
def test_an_assumption_that_cannot_be_read_is_refused(parameters):
    with pytest.raises(RewriteError, match="shapes and values"):
        assumption([Rewrite(name=NAME, parameters=parameters)])
