"""How far apart two answers are."""

from math import inf

import numpy as np
import pytest

from chrion_graph.equality import error


def answer(*values: float, kind: type = np.float32) -> dict[str, np.ndarray]:
    return {"y": np.array(values, kind)}


def test_the_largest_difference_counts_as_a_part_of_the_largest_value() -> None:
    assert error(answer(10.0, -19.0), answer(10.0, -20.0)) == pytest.approx(0.05)
    assert error(answer(0.25), answer(0.0)) == 0.25, "of zeros the difference itself"
    assert error(answer(), answer()) == 0


def test_of_several_outputs_the_worst_counts() -> None:
    one, other = {"a": np.float32([1, 2]), "b": np.float32([1.0])}, {"a": np.float32([1, 2]), "b": np.float32([2.0])}
    assert error(one, other) == 0.5


def test_what_is_not_finite_must_be_the_same() -> None:
    odd = answer(1.0, np.nan, np.inf)
    assert error(odd, odd) == 0
    assert error(answer(1.0, 0.0, np.inf), odd) == inf
    assert error(odd, answer(1.0, 0.0, np.inf)) == inf
    assert error(answer(1.0, np.nan, -np.inf), odd) == inf


@pytest.mark.parametrize("one", [{}, answer(1.0, 1.0), answer(1.0, kind=np.float64), {"x": np.float32([1.0])}])
def test_what_cannot_be_compared_is_infinitely_far_apart(one: dict[str, np.ndarray]) -> None:
    assert error(one, answer(1.0)) == inf


def test_whole_numbers_are_the_same_or_not() -> None:
    assert error(answer(1, 2, kind=np.int64), answer(1, 2, kind=np.int64)) == 0
    assert error(answer(1, 3, kind=np.int64), answer(1, 2, kind=np.int64)) == inf
