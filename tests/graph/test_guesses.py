"""Sizes of open axes where no shape is given: as names suggest, never against what is given, and said in a line."""

from typing import Any

import pytest
from onnx import TensorProto

from chrion_api import InputSpec
from chrion_graph.guesses import STEPS, completed, guesses, usual_size
from chrion_graph.types import TensorType

Axes = tuple[int | str | None, ...]


def inputs(**axes: Axes | None) -> dict[str, TensorType | None]:
    return {name: TensorType(TensorProto.FLOAT, shape) for name, shape in axes.items()}


def given(**shapes: Any) -> list[InputSpec]:
    return [InputSpec(name=name, shapes=listed) for name, listed in shapes.items()]


def guessed(model: dict[str, TensorType | None], specs: list[InputSpec]) -> dict[str, Any]:
    return {guess.spec.name: guess.spec.shapes for guess in guesses(model, specs)}


@pytest.mark.parametrize(
    ("axis", "size"),
    [
        *((name, 1) for name in ("batch", "N", "batch_size", "Batch", "batch-size")),
        *(
            (name, STEPS)
            for name in ("sequence", "time", "seq_len", "length", "T", "frames", "steps", "Sequence_Length")
        ),
        *((name, None) for name in ("n", "t", "B", "features", "unk__12", "past_sequence_length + 1", "", None, 7)),
    ],
)
def test_names_suggest_sizes(axis: int | str | None, size: int | None) -> None:
    assert usual_size(axis) == size


def test_what_is_guessed_is_said_with_what_to_give_instead() -> None:
    (guess,) = guesses(inputs(x=("batch", "sequence", 80)), [])
    assert guess.spec.shapes == ((1, 100, 80),)
    assert str(guess) == (
        "inputs.x: axis batch is taken to be 1 and sequence 100; give --input x=1x100x80 to plan for other sizes"
    )


def test_names_of_axes_break_no_line() -> None:
    (guess,) = guesses(inputs(**{"x\n\x1b[2J": ("batch", 3)}), [])
    assert str(guess).isprintable()


@pytest.mark.parametrize("axes", [("batch", "features"), ("batch", None), (None,), None, (3, 4), ()])
def test_one_size_that_nothing_suggests_leaves_the_input_alone(axes: Axes | None) -> None:
    assert not guesses(inputs(x=axes), [])


def test_what_is_given_stays() -> None:
    model = inputs(x=("batch", "time", 80))
    assert not guesses(model, given(x=[(4, 7, 80)]))
    assert completed(given(x=[(4, 7, 80)]), ()) == tuple(given(x=[(4, 7, 80)]))


def test_an_axis_has_one_size_in_all_inputs() -> None:
    model = inputs(x=("batch", "T", 80), h=(2, "batch", 64), mask=("batch", "T"))
    assert guessed(model, []) == {"x": ((1, 100, 80),), "h": ((2, 1, 64),), "mask": ((1, 100),)}
    assert guessed(model, given(h=[(2, 8, 64)])) == {"x": ((8, 100, 80),), "mask": ((8, 100),)}
    assert guessed(model, given(x=[(1, 50, 80), (4, 200, 80)])) == {
        "h": ((2, 1, 64), (2, 4, 64)),
        "mask": ((1, 50), (4, 200)),
    }


def test_an_axis_of_any_name_is_as_long_as_where_it_is_given() -> None:
    (guess,) = guesses(inputs(x=("rows", 80), y=("rows", "T")), given(x=[(3, 80)]))
    assert guess.spec.shapes == ((3, 100),)
    assert "axis rows is taken to be that of inputs.x and T 100; give --input y=3x100" in str(guess)


def test_given_shapes_that_differ_suggest_nothing() -> None:
    model = inputs(x=("batch", 80), y=("batch", 2), z=("batch",))
    assert not guesses(model, given(x=[(3, 80)], y=[(4, 2)]))


def test_values_that_are_given_are_kept() -> None:
    specs = [InputSpec(name="lengths", value=7), InputSpec(name="x", shape=(2, 5))]
    found = guesses(inputs(x=("batch", 5), lengths=("batch",)), specs)
    assert completed(specs, found) == (specs[1], InputSpec(name="lengths", shapes=((2,),), value=7))
