"""What a sequence starts with, and which links a model can have."""

import numpy as np
import pytest

from chrion_api import StateLink
from chrion_graph.types import STRING, TensorType
from chrion_runtime.errors import SequenceMismatch, StateRefused
from chrion_runtime.sequences import state_links
from chrion_runtime.sequences.start import check_fits, start_shapes, start_state, state_bytes

FLOAT, INT = 1, 7
KINDS = {
    "x": TensorType(FLOAT, ("B", None)),
    "h": TensorType(FLOAT, (2, "B", "width")),
    "count": TensorType(INT, None),
}
BUCKET = {"x": (1, 5), "h": (2, 1, 16), "count": ()}


def started(x, fills=()):
    return start_state(KINDS, start_shapes(KINDS, {"x": x}, BUCKET), dict(fills))


def test_zeros_in_the_shapes_of_the_request_and_the_bucket():
    state = started(np.ones((3, 9), np.float32))
    assert {name: (array.shape, array.dtype) for name, array in state.items()} == {
        "h": ((2, 3, 16), np.float32),
        "count": ((), np.int64),
    }
    assert not any(array.any() for array in state.values())


def test_a_value_of_the_users():
    state = started(np.ones((1, 5), np.float32), {"count": 7, "x": 3})
    assert state["count"] == 7
    assert not state["h"].any()


def test_what_a_state_takes_is_known_before_it_is_made():
    """The longest axis that a request can name, with nothing behind it, would be more bytes than 64 bits count."""
    shapes = start_shapes(KINDS, {"x": np.empty((2**60, 0), np.float32)}, BUCKET)
    assert state_bytes(KINDS, shapes) == {"h": 2 * 2**60 * 16 * 4, "count": 8}
    assert state_bytes({"s": TensorType(STRING, ("B",))}, {"s": (10,)}) == {"s": 320}


def test_a_request_that_does_not_fit_the_state():
    check_fits(KINDS, {"x": np.ones((3, 9), np.float32)}, {"h": (2, 3, 16), "count": ()})
    with pytest.raises(SequenceMismatch, match=r'input "x": dimension 0 \(B\) is 4, but the state .* started with 3'):
        check_fits(KINDS, {"x": np.ones((4, 9), np.float32)}, {"h": (2, 3, 16), "count": ()})


OUTPUTS = {
    "y": TensorType(FLOAT, ("B", 4)),
    "h_out": TensorType(FLOAT, (2, "B", "any")),
    "long": TensorType(INT, (2, "B", 16)),
    "flat": TensorType(FLOAT, ("B", 16)),
    "h3": TensorType(FLOAT, (3, "B", 16)),
    "odd": None,
    "n": TensorType(INT, (1,)),
}


def test_links():
    links = [StateLink(output="h_out", input="h"), StateLink(output="n", input="count")]
    assert state_links(links, KINDS | {"h": TensorType(FLOAT, (2, "B", 16))}, OUTPUTS) == {"h_out": "h", "n": "count"}


@pytest.mark.parametrize(
    ("links", "words"),
    [
        (["z=h"], 'state z=h: the model has no output "z"; it has y, h_out'),
        (["h_out=z"], 'state h_out=z: the model has no input "z"; it has x, h, count'),
        (["h_out=h", "h_out=x"], '"h_out" is given twice'),
        (["h_out=h", "h3=h"], '"h" is given twice'),
        (["long=h"], "elements of int64, but the input takes float32"),
        (["flat=h"], "the output has the shape Bx16, but the input takes 2xBxwidth"),
        (["h3=h"], "the output has the shape 3xBx16, but the input takes 2xBxwidth"),
        (["odd=h"], "only tensors can be carried"),
    ],
)
def test_links_that_the_model_cannot_have(links, words):
    given = [StateLink(output=link.partition("=")[0], input=link.partition("=")[2]) for link in links]
    with pytest.raises(StateRefused) as caught:
        state_links(given, KINDS, OUTPUTS)
    assert words in str(caught.value)
