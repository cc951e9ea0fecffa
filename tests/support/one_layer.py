"""One recurrent layer as a model, with everything that ONNX lets it have."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from chrion_models.families.stack import GATES, Kind

STEPS, BATCH, INPUTS, HIDDEN = 7, 3, 5, 4
_OUTPUTS = {"LSTM": ["Y", "Y_h", "Y_c"], "GRU": ["Y", "Y_h"], "RNN": ["Y", "Y_h"]}
_NAMES = ("X", "W", "R", "B", "lengths", "h", "c", "P")


@dataclass
class OneLayer:
    """A layer; `given` names the optional inputs that it has, those in `fed` come with the request."""

    kind: Kind
    direction: str = "forward"
    given: tuple[str, ...] = ("B",)
    fed: tuple[str, ...] = ("X",)
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: Sequence[str] | None = None
    opset: int = 17
    steps: int = STEPS
    open_axes: dict[int, str] = field(default_factory=dict)
    """Names of axes of X in place of their sizes."""
    dtype: Any = np.float32
    changes: dict[str, NDArray[Any]] = field(default_factory=dict)
    """Arrays in place of random ones."""

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        random, gates = np.random.default_rng(3), GATES[self.kind] * HIDDEN
        directions = 2 if self.direction == "bidirectional" else 1
        shapes = {
            "X": (self.steps, BATCH, INPUTS),
            "W": (directions, gates, INPUTS),
            "R": (directions, gates, HIDDEN),
            "B": (directions, 2 * gates),
            "h": (directions, BATCH, HIDDEN),
            "c": (directions, BATCH, HIDDEN),
            "P": (directions, 3 * HIDDEN),
        }
        made = {name: random.standard_normal(shape).astype(self.dtype) for name, shape in shapes.items()}
        made["lengths"] = np.array([self.steps, 2, 1], np.int32)
        return {**made, **self.changes}

    @property
    def names(self) -> list[str]:
        """The node's inputs by position; "" for one that is left out."""
        found = [name if name in ("X", "W", "R", *self.given) else "" for name in _NAMES]
        while not found[-1]:
            found.pop()
        return found

    @property
    def feeds(self) -> dict[str, NDArray[Any]]:
        return {name: array for name, array in self.arrays.items() if name in self.fed and name in self.names}

    def model(self) -> onnx.ModelProto:
        outputs = list(self.outputs or _OUTPUTS[self.kind])
        arrays = {name: array for name, array in self.arrays.items() if name in self.names}
        node = helper.make_node(
            self.kind, self.names, outputs, hidden_size=HIDDEN, direction=self.direction, **self.attributes
        )
        element = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        inputs = []
        for name in self.feeds:
            shape: list[int | str] = list(arrays[name].shape)
            for axis, symbol in self.open_axes.items() if name == "X" else ():
                shape[axis] = symbol
            inputs.append(
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(arrays[name].dtype), shape)
            )
        graph = helper.make_graph(
            [node],
            "layer",
            inputs,
            [helper.make_tensor_value_info(name, element, None) for name in outputs if name],
            [numpy_helper.from_array(array, name) for name, array in arrays.items() if name not in self.feeds],
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", self.opset)],
            ir_version=8 if element != TensorProto.DOUBLE else 9,
        )
