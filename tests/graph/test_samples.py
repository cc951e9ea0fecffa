"""Samples that users give: each goes to the bucket of its shapes, or the error names the file and what to do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chrion_graph.errors import InputMismatch
from chrion_graph.samples import by_bucket, read_sample
from chrion_graph.types import TensorType

INPUTS = {"x": TensorType(1, (None, 4)), "n": TensorType(7, ())}
BUCKETS = [{"x": (1, 4), "n": ()}, {"x": (3, 4), "n": ()}]


def saved(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "sample.npz", **arrays)
    return folder / "sample.npz"


def right(rows: int) -> dict[str, Any]:
    return {"x": np.ones((rows, 4), np.float32), "n": np.int64(2)}


def test_a_sample_goes_to_the_bucket_of_its_shapes(tmp_path: Path) -> None:
    found = by_bucket(INPUTS, BUCKETS, [read_sample(saved(tmp_path, **right(3)))])
    assert [len(samples) for samples in found] == [0, 1]
    np.testing.assert_array_equal(found[1][0]["x"], np.ones((3, 4)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"y": np.zeros(1)}, r'the model has no input "y"; it has x, n'),
        ({"n": None}, r'has no values for input "n"'),
        ({"x": np.ones((1, 4))}, "x is float64, but the model takes float32"),
        ({"x": np.ones((2, 4), np.float32)}, "its shapes are not planned for; plan for x=2x4, n=scalar too"),
    ],
)
def test_what_does_not_fit_the_model_is_named(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    arrays = {name: value for name, value in {**right(1), **changed}.items() if value is not None}
    sample = read_sample(saved(tmp_path, **arrays))
    with pytest.raises(InputMismatch, match=rf"sample\.npz: .*{said}"):
        by_bucket(INPUTS, BUCKETS, [sample])


def test_what_is_no_file_of_numbers_is_refused(tmp_path: Path) -> None:
    text, array, cut = (tmp_path / f"{name}.npz" for name in ("text", "array", "cut"))
    text.write_text("nonsense")
    with array.open("wb") as file:
        np.save(file, np.zeros(3))
    cut.write_bytes(saved(tmp_path, **right(1)).read_bytes()[:100])
    objects = saved(tmp_path, x=np.array([{}], object))
    for path in (text, array, cut, objects):
        with pytest.raises(
            InputMismatch, match=rf"{path.name}: is not an \.npz file of numbers; numpy\.savez writes one"
        ):
            read_sample(path)
    with pytest.raises(InputMismatch, match=r"missing\.npz: cannot be read: No such file"):
        read_sample(tmp_path / "missing.npz")
