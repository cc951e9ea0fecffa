"""The shapes that are given fit the model, or the error names the input; values to run with are the same each time."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chrion_api import InputSpec
from chrion_graph.errors import InputMismatch, InvalidModel
from chrion_graph.graph import Graph
from chrion_graph.inputs import buckets, sample
from chrion_graph.observe import evaluate, observe
from tests.support.control_flow import TextModel
from tests.support.partition import normalised

TEXT = """mixed (float[B,8] x, int64 n, bool[2] flags, string[S] words)
  => (float[B,8] y, int64 m, bool[2] f, string[S] w) {
  y = Exp (x)
  m = Mul (n, n)
  f = Not (flags)
  w = Identity (words)
}"""


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return normalised(TextModel(TEXT, ()).build(), tmp_path_factory.mktemp("mixed"))


def specs(**shapes: Any) -> list[InputSpec]:
    return [InputSpec(name=name, shapes=listed) for name, listed in shapes.items()]


def test_one_bucket_for_each_shape(graph: Graph) -> None:
    fixed = {"n": (), "flags": (2,)}
    assert buckets(graph, specs(x=[(1, 8), (4, 8)], words=[(3,)])) == (
        {"x": (1, 8), "words": (3,), **fixed},
        {"x": (4, 8), "words": (3,), **fixed},
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"x": [(1, 8)]},
            r"inputs\.words: has open axes \(S\); give its shape, for example --input words=1 with 1 for axis S$",
        ),
        (
            {"words": [(1,)]},
            r"inputs\.x: has open axes \(Bx8\); give its shape, for example --input x=1x8 with 1 for axis B$",
        ),
        ({"x": [(1, 9)], "words": [(1,)]}, r"inputs\.x: axis 1 is 9, the model wants 8 \(Bx8\)"),
        ({"x": [(8,)], "words": [(1,)]}, r"inputs\.x: shape \[8\] has rank 1, the model wants Bx8"),
        ({"x": [(1, 8)], "words": [(1,)], "n": [(1,)]}, r"inputs\.n: shape \[1\] has rank 1, the model wants a scalar"),
        ({"z": [(1, 8)]}, 'the model has no input "z"; it has x, n, flags, words'),
    ],
)
def test_what_does_not_fit_is_named(graph: Graph, given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputMismatch, match=words):
        buckets(graph, specs(**given))


def test_values_fill_every_kind_of_input(graph: Graph) -> None:
    (shapes,) = buckets(graph, specs(x=[(2, 8)], words=[(3,)]))
    feeds = sample(graph.inputs, shapes, {"n": 7, "flags": True})
    assert {name: array.dtype for name, array in feeds.items()} == {
        "x": np.float32,
        "n": np.int64,
        "flags": np.bool_,
        "words": np.dtype(object),
    }
    assert feeds["n"] == 7
    assert feeds["flags"].all()
    assert feeds["x"].std() > 0.1
    np.testing.assert_array_equal(feeds["x"], sample(graph.inputs, shapes, {})["x"])
    assert (feeds["x"] != sample(graph.inputs, shapes, {}, seed=1)["x"]).any()
    assert observe(graph, feeds) == {**shapes, "y": (2, 8), "m": (), "f": (2,), "w": (3,)}


def test_shapes_that_the_model_cannot_run_are_said_so(tmp_path: Path) -> None:
    text = "square (float[N,M] x) => (float[N,N] y) { y = MatMul (x, x) }"
    graph = normalised(TextModel(text, ()).build(), tmp_path)
    feeds = {"x": np.zeros((2, 3), np.float32)}
    for run in (lambda: observe(graph, feeds), lambda: evaluate(graph, feeds, ["y"])):
        with pytest.raises(
            InvalidModel, match=r"^the model fails when it runs with these input shapes: .*MatMul"
        ) as caught:
            run()
        assert str(caught.value).isprintable()
