"""Read a graph's nodes and constants: who makes a value, which axes a node works on, what a constant holds."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, numpy_helper

from chrion_graph.graph import Graph

_VIEWS = frozenset(("Gather", "Slice", "Squeeze", "Unsqueeze", "Reshape", "Transpose", "Split", "Expand", "Tile"))
"""Nodes whose output holds nothing but values of their first input."""
_MOST_VIEWS = 8


class Reading:
    """Looks things up in one graph; weights are read from its folder once."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        # One that is an input too may be given another value.
        self.constants = {name: tensor for name, tensor in graph.constants.items() if name not in graph.inputs}
        self._arrays: dict[str, npt.NDArray[np.float32]] = {}

    def maker(self, value: str, op_type: str) -> NodeProto | None:
        """The node that makes a value, if it is of this type."""
        index = self.graph.producer.get(value)
        if index is None:
            return None
        node = self.graph.nodes[index]
        return node if node.op_type == op_type and node.domain in ("", "ai.onnx") else None

    def array(self, name: str) -> npt.NDArray[np.float32]:
        """What a constant holds."""
        if name not in self._arrays:
            self._arrays[name] = numpy_helper.to_array(self.constants[name], base_dir=str(self.graph.folder))
        return self._arrays[name]

    def numbers(self, node: NodeProto, position: int, name: str = "") -> tuple[int, ...] | None:
        """Whole numbers given as an input, or (before opset 13, or 10) as the attribute `name`; None where not given.

        Numbers that are no constant read as an empty tuple, which fits nothing.
        """
        if len(node.input) > position and node.input[position]:
            if node.input[position] not in self.constants:
                return ()
            return tuple(int(number) for number in self.array(node.input[position]).reshape(-1))
        return next((tuple(entry.ints) for entry in node.attribute if entry.name == name), None)

    def axis(self, node: NodeProto, position: int) -> int | None:
        """The one axis that a Squeeze or Unsqueeze works on, as written."""
        axes = self.numbers(node, position, "axes")
        return axes[0] if axes and len(axes) == 1 else None

    def slice(self, node: NodeProto, size: int | None) -> tuple[int, int, int] | None:
        """Axis, start and stop of a Slice along one axis of this size with step 1."""
        starts, ends = self.numbers(node, 1, "starts"), self.numbers(node, 2, "ends")
        axes, steps = self.numbers(node, 3, "axes"), self.numbers(node, 4)
        if not starts or not ends or len(starts) != 1 or axes == () or steps not in (None, (1,)):
            return None
        start, stop = starts[0], ends[0]
        if size is not None:
            start, stop, _ = slice(start, stop).indices(size)
        elif start < 0 or stop < 0:
            return None
        return (axes[0] if axes else 0), start, stop

    def parts(self, node: NodeProto, size: int | None) -> Iterator[tuple[str, int, int]]:
        """Each output of a Split along an axis of this size, with where it starts and stops."""
        sizes = self.numbers(node, 1, "split")
        if sizes is None and size is not None and size % len(node.output) == 0:
            sizes = (size // len(node.output),) * len(node.output)
        start = 0
        if sizes and len(sizes) == len(node.output):
            for name, length in zip(node.output, sizes, strict=True):
                yield name, start, start + length
                start += length

    def shape(self, value: str) -> tuple[int | str | None, ...] | None:
        """The shape of a value or a constant, as far as it is known."""
        if value in self.constants:
            return tuple(self.constants[value].dims)
        kind = self.graph.types.get(value)
        return kind.shape if kind else None

    def element(self, value: str) -> int:
        """The element type of a value or a constant; of 32-bit floats where it is not known."""
        if value in self.constants:
            return int(self.constants[value].data_type)
        kind = self.graph.types.get(value)
        return kind.element if kind else TensorProto.FLOAT

    def is_float(self, constant: str) -> bool:
        """Whether this is a constant of 32-bit floats."""
        tensor = self.constants.get(constant)
        return tensor is not None and tensor.data_type == TensorProto.FLOAT

    def is_zero(self, value: str) -> bool:
        """Whether a value is known to be zero everywhere, whatever its shape turns out to be."""
        for _ in range(_MOST_VIEWS):
            if value in self.constants:
                return not self.array(value).any()
            index = self.graph.producer.get(value)
            if index is None:
                return False
            node = self.graph.nodes[index]
            if node.op_type == "ConstantOfShape":
                return not any(numpy_helper.to_array(entry.t).any() for entry in node.attribute)
            if node.op_type not in _VIEWS:
                return False
            value = node.input[0]
        return False
