"""Gather the nodes, constants and types that take the place of others in a graph."""

from collections.abc import Sequence
from itertools import count
from typing import Any

import onnx
from onnx import NodeProto, TensorProto, helper

from chrion_graph.types import TensorType


class Writer:
    """Nodes in the order they were written; their constants and types go to the target at once."""

    def __init__(self, target: onnx.GraphProto, opset: int, prefix: str) -> None:
        """All names that the writer makes up begin with `prefix`."""
        self.nodes: list[NodeProto] = []
        self._target = target
        self._opset = opset
        self._prefix = prefix
        self._constants: dict[tuple[int, ...], str] = {}
        self._numbers = count()

    def add(self, node: NodeProto, *kinds: TensorType | None) -> None:
        """A node as it is, and the types of its outputs; None for one that the graph knows."""
        self.nodes.append(node)
        for name, kind in zip(node.output, kinds, strict=True):
            if name and kind:
                self._target.value_info.append(helper.make_value_info(name, kind.to_proto()))

    def node(self, op_type: str, inputs: Sequence[str], output: str, kind: TensorType | None, **attributes: Any) -> str:
        """A node with one output, whose name is given back."""
        self.add(helper.make_node(op_type, inputs, [output], **attributes), kind)
        return output

    def integers(self, op_type: str, *inputs: str, size: int = 1, **attributes: Any) -> str:
        """A node of which comes a vector of `size` integers; its name is given back."""
        return self.made(op_type, inputs, TensorType(TensorProto.INT64, (size,)), **attributes)

    def made(self, op_type: str, inputs: Sequence[str], kind: TensorType, **attributes: Any) -> str:
        """A node with one output, whose new name is given back."""
        return self.node(op_type, inputs, self._fresh(), kind, **attributes)

    def smaller(self, one: str, other: str, size: int = 1) -> str:
        """The smaller of two vectors of integers, in each place."""
        if self._opset >= 12:  # before that, Min is for floats alone
            return self.integers("Min", one, other, size=size)
        less = self.made("Less", [one, other], TensorType(TensorProto.BOOL, (size,)))
        return self.integers("Where", less, one, other, size=size)

    def single(self, vector: str, size: int) -> list[str]:
        """Each of a vector's integers as a value of its own."""
        names = [self._fresh() for _ in range(size)]
        if self._opset >= 13:
            node = helper.make_node("Split", [vector, self.constant(*[1] * size)], names, axis=0)
        else:
            node = helper.make_node("Split", [vector], names, axis=0, split=[1] * size)
        self.add(node, *[TensorType(TensorProto.INT64, (1,))] * size)
        return names

    def parts(self, value: str, count: int, kind: TensorType) -> list[str]:
        """Equal parts of a value along its first axis."""
        names = [self._fresh() for _ in range(count)]
        attributes: dict[str, Any] = {"num_outputs": count} if self._opset >= 18 else {}
        self.add(helper.make_node("Split", [value], names, axis=0, **attributes), *[kind] * count)
        return names

    def constant(self, *values: int) -> str:
        """A vector of integers, the same for all that ask for the same."""
        if values not in self._constants:
            name = self._constants[values] = f"{self._prefix}/constant{len(self._constants)}"
            self._target.initializer.append(helper.make_tensor(name, TensorProto.INT64, [len(values)], values))
        return self._constants[values]

    def _fresh(self) -> str:
        return f"{self._prefix}/{next(self._numbers)}"
