"""Add nodes to a graph under construction, with the type of every value they make."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from chrion_graph.rewrite.support.reading import Reading
from chrion_graph.types import TensorType

Shape = tuple[int | str | None, ...]

_BEGINNING = -(2**63) + 1
"""Where a Slice stops that goes back to index 0."""


class Emitter:
    """New nodes, and the constants and types that they need; the same node asked for twice is made once.

    Every method returns the name of the value that it makes: `name`, which the graph knows already, or a new one.
    """

    def __init__(self, reading: Reading, prefix: str) -> None:
        """All names that it makes up begin with `prefix`."""
        self.nodes: list[NodeProto] = []
        self.infos: list[onnx.ValueInfoProto] = []
        self.tensors: list[TensorProto] = []
        self._reading = reading
        self._prefix = prefix
        self._shapes: dict[str, Shape] = {}
        self._elements: dict[str, int] = {}
        self._made: dict[object, str] = {}
        self._squeezed: dict[str, tuple[str, int]] = {}
        graph = reading.graph
        self._taken = {*graph.producer, *graph.inputs, *graph.constants}

    def fresh(self, what: str) -> str:
        """A name that no value has."""
        number = len(self._taken)
        while (name := f"{self._prefix}/{what}_{number}") in self._taken:
            number += 1
        self._taken.add(name)
        return name

    def shape(self, value: str, axes: int) -> Shape:
        """What is known of the shape of a value with so many axes."""
        found = self._shapes.get(value) or self._reading.shape(value)
        return found if found is not None and len(found) == axes else (None,) * axes

    def node(self, op_type: str, inputs: Sequence[str], shapes: Sequence[Shape], **attributes: Any) -> list[str]:
        """Add a node; one output for each shape, of the first input's element type."""
        element = self._elements.get(inputs[0]) or self._reading.element(inputs[0])
        names = [self.fresh(op_type) for _ in shapes]
        for name, shape in zip(names, shapes, strict=True):
            self._shapes[name], self._elements[name] = shape, element
            self.infos.append(helper.make_value_info(name, TensorType(element, shape).to_proto()))
        self.nodes.append(helper.make_node(op_type, inputs, names, name=names[0], **attributes))
        return names

    def integers(self, *numbers: int) -> str:
        """A constant vector of integers."""
        return self._integers(np.array(numbers))

    def squeeze(self, value: str, axis: int, name: str = "") -> str:
        """Without one of three or four axes."""
        shape = self._shapes.get(value) or self.shape(value, 3)
        inputs, attributes = self._axes(value, axis)
        made = self._one("Squeeze", inputs, (*shape[:axis], *shape[axis + 1 :]), name, **attributes)
        self._squeezed[made] = (value, axis)
        return made

    def unsqueeze(self, value: str, axis: int, name: str = "") -> str:
        """Two axes with one of size 1 before or between them."""
        shape = self.shape(value, 2)
        inputs, attributes = self._axes(value, axis)
        return self._one("Unsqueeze", inputs, (*shape[:axis], 1, *shape[axis:]), name, **attributes)

    def transpose(self, value: str, name: str = "") -> str:
        """Three axes with the first two changed over."""
        shape = self.shape(value, 3)
        return self._one("Transpose", [value], (shape[1], shape[0], shape[2]), name, perm=[1, 0, 2])

    def slice(self, value: str, axis: int, start: int, count: int, step: int, name: str = "") -> str:
        """Some entries of an axis of three; `step` is 1 or -1."""
        stop = start + count * step
        bounds = (start, stop if stop >= 0 else _BEGINNING, axis, step)
        shape = list(self.shape(value, 3))
        shape[axis] = count
        inputs = [value, *(self.integers(number) for number in bounds)]
        return self._one("Slice", inputs, tuple(shape), name)

    def concat(self, values: Sequence[str], axis: int, name: str = "") -> str:
        """Values of three axes put together along one of them."""
        shapes = [self.shape(value, 3) for value in values]
        sizes = [shape[axis] for shape in shapes]
        known = [size for size in sizes if isinstance(size, int)]
        shape = list(shapes[0])
        shape[axis] = sum(known) if len(known) == len(sizes) else None
        return self._one("Concat", values, tuple(shape), name, axis=axis)

    def entry(self, value: str, index: int, name: str = "") -> str:
        """One entry of the first of three axes."""
        return self._one("Gather", [value, self._integers(np.array(index))], self.shape(value, 3)[1:], name, axis=0)

    def again(self, value: str, name: str) -> str:
        """A value once more, under the name of another."""
        squeezed = self._squeezed.get(value)
        if squeezed is not None:
            return self.squeeze(*squeezed, name)
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        return name

    def _one(self, op_type: str, inputs: Sequence[str], shape: Shape, name: str, **attributes: Any) -> str:
        known = (op_type, tuple(inputs), str(attributes))
        if name:
            self.nodes.append(helper.make_node(op_type, inputs, [name], **attributes))
        elif known not in self._made:
            self._made[known] = self.node(op_type, inputs, [shape], **attributes)[0]
        return name or self._made[known]

    def _axes(self, value: str, axis: int) -> tuple[list[str], dict[str, Any]]:
        if self._reading.graph.opset < 13:
            return [value], {"axes": [axis]}
        return [value, self.integers(axis)], {}

    def _integers(self, values: "np.ndarray[Any, np.dtype[np.int64]]") -> str:
        known = (values.shape, values.tobytes())
        if known not in self._made:
            self._made[known] = self.fresh("integer")
            self.tensors.append(numpy_helper.from_array(values.astype(np.int64), self._made[known]))
        return self._made[known]
