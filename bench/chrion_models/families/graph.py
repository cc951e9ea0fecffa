"""Writes ONNX graphs node by node: names, weights and shared constants are its business."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
SEED = 20230720
"""The seed of every model's weights."""

Axes = Sequence[int | str]
"""Sizes of a tensor's axes; a string names an open one."""


class GraphBuilder:
    """A graph under construction; the same calls make the same bytes."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(SEED)
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._constants: dict[tuple[int, ...], str] = {}
        self._counts: Counter[str] = Counter()

    def input(self, name: str, axes: Axes, dtype: int = TensorProto.FLOAT) -> str:
        """Declare an input of the model."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, axes))
        return name

    def output(self, name: str, value: str, axes: Axes) -> None:
        """Declare `value` a float output of the model and call it `name` everywhere."""
        for node in self._nodes:
            for names in (node.input, node.output):
                for index, old in enumerate(names):
                    if old == value:
                        names[index] = name
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, axes))

    def nodes(self, op_type: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        """Add a node with several outputs and return their names; an input "" is one left out."""
        index = self._counts[op_type]
        self._counts[op_type] += 1
        name = f"/{op_type}_{index}"
        values = [f"{name}_output_{output}" for output in range(outputs)]
        self._nodes.append(helper.make_node(op_type, _trimmed(inputs), values, name, **attributes))
        return values

    def node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return its name."""
        return self.nodes(op_type, inputs, 1, **attributes)[0]

    def weight(self, name: str, shape: Sequence[int], bound: float) -> str:
        """Add a weight drawn uniformly from ±bound, the way PyTorch initialises layers."""
        values = (self._random.random(shape, dtype=np.float32) * 2 - 1) * np.float32(bound)
        return self._initializer(name, values.astype(np.float32))

    def constant(self, *numbers: int) -> str:
        """An int64 vector, one initializer for all nodes that need the same."""
        if numbers not in self._constants:
            name = f"const_{'_'.join(str(number) for number in numbers)}"
            self._constants[numbers] = self._initializer(name, np.array(numbers, dtype=np.int64))
        return self._constants[numbers]

    def scalar(self, number: int) -> str:
        """An int64 scalar."""
        name = f"scalar_{number}"
        if all(tensor.name != name for tensor in self._initializers):
            self._initializer(name, np.array(number, dtype=np.int64))
        return name

    def linear(self, name: str, value: str, inputs: int, outputs: int) -> str:
        """A dense layer on the last axis of `value`, as PyTorch exports it for more than two axes."""
        bound = inputs**-0.5
        product = self.node("MatMul", value, self.weight(f"{name}.weight", (inputs, outputs), bound))
        return self.node("Add", product, self.weight(f"{name}.bias", (outputs,), bound))

    def model(self, name: str) -> onnx.ModelProto:
        """The finished model; raises onnx.checker.ValidationError where it is none."""
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, self._initializers)
        model = helper.make_model(
            graph,
            producer_name="chrion_bench",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        onnx.checker.check_model(model)
        return model

    def _initializer(self, name: str, values: npt.NDArray[Any]) -> str:
        self._initializers.append(numpy_helper.from_array(values, name))
        return name


def _trimmed(inputs: Sequence[str]) -> list[str]:
    """Without the optional inputs at the end that are left out."""
    names = list(inputs)
    while names and not names[-1]:
        names.pop()
    return names
