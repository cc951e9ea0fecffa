"""What a model is planned for: what is given, else what its first calls were."""

import numpy as np
import pytest
from onnx import TensorProto

from chrion.first_calls import MOST_SHAPES, FirstCalls, single_value, tell_nothing_more
from chrion_api import InputSpec
from chrion_graph.types import TensorType

FLOATS = TensorType(TensorProto.FLOAT, ("batch", 8))
FIXED = TensorType(TensorProto.FLOAT, (1, 8))
RATE = TensorType(TensorProto.INT64, ())
KINDS = {"x": FLOATS, "rate": RATE}


def call(batch=1, rate=16000):
    return {"x": np.zeros((batch, 8), np.float32), "rate": np.array(rate)}


def heard(*calls, given=(), kinds=KINDS, state=()):
    first = FirstCalls(kinds, given, state)
    for one in calls:
        first.hear(one)
    return first


def test_shapes_and_values_of_the_first_calls():
    assert heard(call(2), call(1), call(2)).specs() == (
        InputSpec(name="x", shapes=((1, 8), (2, 8))),
        InputSpec(name="rate", shapes=((), ()), value=16000),
    )


def test_the_order_of_calls_and_of_their_inputs_makes_no_difference():
    backwards = dict(reversed(call(1).items()))
    assert heard(call(2), backwards).specs() == heard(call(1), call(2)).specs()


def test_values_that_change_from_call_to_call_fill_nothing():
    assert heard(call(1, 16000), call(2, 8000)).specs()[1].value is None


def test_what_is_given_stands():
    given = (InputSpec(name="x", shape=(4, 8)), InputSpec(name="rate", value=8000))
    assert heard(call(2), given=given).specs() == (
        InputSpec(name="x", shapes=((4, 8),)),
        InputSpec(name="rate", shapes=((),), value=8000),
    )


def test_state_begins_with_zeros_whatever_the_first_calls_had():
    assert heard(call(1, 5), state=["rate"]).specs()[1].value is None


def test_so_many_shapes_at_most_and_none_once_they_were_counted():
    first = heard(*(call(batch) for batch in range(1, 9)))
    assert len(first.specs()[0].shapes) == MOST_SHAPES
    late = heard(call(1))
    before = late.specs()
    late.hear(call(2))
    assert late.specs() == before


def test_before_any_call_there_is_what_was_given():
    first = heard(given=(InputSpec(name="x", shape=(4, 8)),))
    assert not first.begun.is_set()
    assert first.specs() == (InputSpec(name="x", shapes=((4, 8),)),)


@pytest.mark.parametrize(
    ("kinds", "given", "known"),
    [
        ({"x": FIXED}, (), True),
        ({"x": FLOATS}, (), False),
        ({"x": FLOATS}, (InputSpec(name="x", shape=(1, 8)),), True),
        ({"x": FLOATS}, (InputSpec(name="x", value=0.5),), False),
        ({"x": TensorType(TensorProto.FLOAT, None)}, (), False),
        ({"x": FIXED, "rate": RATE}, (), False),
        ({"x": FIXED, "rate": RATE}, (InputSpec(name="rate", value=16000),), True),
    ],
)
def test_calls_are_waited_for_only_where_they_tell_something(kinds, given, known):
    assert tell_nothing_more(kinds, given) == known


@pytest.mark.parametrize(
    ("array", "value"),
    [
        (np.array(16000), 16000),
        (np.ones((2, 3), np.int64), 1),
        (np.ones((2, 3), bool), True),
        (np.arange(3), None),
        (np.zeros((0, 3), np.int64), None),
    ],
)
def test_single_value(array, value):
    assert single_value(array) == value
    assert type(single_value(array)) is type(value)
