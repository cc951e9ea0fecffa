"""Random inputs fit the model that they are made for."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from chrion_api import ChrionError
from chrion_models.inputs import random_inputs


@pytest.fixture
def model() -> onnx.ModelProto:
    """A model of inputs alone, one of them with a default."""
    kinds = {
        "x": (TensorProto.FLOAT, ("n", 3)),
        "half": (TensorProto.BFLOAT16, (2,)),
        "flag": (TensorProto.BOOL, ()),
        "text": (TensorProto.STRING, (2,)),
        "tokens": (TensorProto.INT32, (50,)),
        "default": (TensorProto.FLOAT, (1,)),
    }
    inputs = [helper.make_tensor_value_info(name, *kind) for name, kind in kinds.items()]
    default = helper.make_tensor("default", TensorProto.FLOAT, [1], [1.0])
    return helper.make_model(helper.make_graph([], "inputs", inputs, [], [default]))


def test_types_shapes_and_fills(model: onnx.ModelProto, tmp_path: Path) -> None:
    arrays = random_inputs(model, {"x": (4, 3)}, {"tokens": range(5, 9), "flag": True})
    assert {name: (array.dtype.name, array.shape) for name, array in arrays.items()} == {
        "x": ("float32", (4, 3)),
        "half": ("bfloat16", (2,)),
        "flag": ("bool", ()),
        "text": ("object", (2,)),
        "tokens": ("int32", (50,)),
    }
    assert arrays["flag"]
    assert set(arrays["tokens"]) == {5, 6, 7, 8}
    assert arrays["half"].any()

    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    np.testing.assert_array_equal(random_inputs(path, {"x": (4, 3)})["x"], arrays["x"])
    assert (random_inputs(path, {"x": (4, 3)}, seed=1)["x"] != arrays["x"]).all()


def test_refuses_what_does_not_fit(model: onnx.ModelProto) -> None:
    with pytest.raises(ChrionError, match='"x" has open axes'):
        random_inputs(model)
    with pytest.raises(ChrionError, match='no input "y"'):
        random_inputs(model, {"x": (1, 3), "y": (1,)})
