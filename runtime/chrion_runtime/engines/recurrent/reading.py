"""Read nodes of a graph as a stack of recurrent layers, where they are one and the kernels have all it needs."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from onnx import NodeProto, TensorProto, helper

from chrion_graph.attributes import integer
from chrion_graph.graph import Graph
from chrion_graph.recurrent import INITIAL_C, INITIAL_H, SEQUENCE_LENS, B, P, R, W, X, is_recurrent, optional_input
from chrion_graph.rewrite.support.reading import Reading
from chrion_graph.types import element_name
from chrion_runtime.engines.recurrent.stack import (
    ACTIVATIONS,
    BATCH,
    DIRECTIONS,
    GATES,
    STEPS,
    UNITS,
    Direction,
    Level,
    Stack,
)
from chrion_runtime.engines.recurrent.views import Axis, Joined, Made, NoView, ValueView

_UNKNOWN_ATTRIBUTES = frozenset({"clip", "input_forget", "layout", "output_sequence"})
"""What the kernels do not have, unless it is zero."""
_OLDEST_OPSET = 7


class NoStack(Exception):
    """The nodes are no stack, or none that the kernels run; says what of a layer they do not have, where it is that."""


def read_stack(graph: Graph, nodes: Collection[int], reading: Reading | None = None) -> Stack:
    """The stack that nodes of a graph amount to. `reading` is one of this graph, kept from earlier.

    Raises NoStack.
    """
    found = _StackReading(reading or Reading(graph), frozenset(nodes))
    try:
        for index in sorted(nodes):
            found.add(graph.nodes[index])
        return found.stack()
    except NoView:
        raise NoStack from None


class _StackReading:
    """What was read of some nodes so far, in the graph's order."""

    def __init__(self, reading: Reading, nodes: Collection[int]) -> None:
        self._reading = reading
        self._graph = reading.graph
        self._nodes = nodes
        self._values: dict[str, ValueView | Joined] = {}
        self._levels: list[Level] = []
        self._x: ValueView | None = None
        self._lengths: set[str] = set()

    def add(self, node: NodeProto) -> None:
        """Take in the next node. Raises NoStack, NoView."""
        if node.domain not in ("", "ai.onnx") or not node.input:
            raise NoStack
        if is_recurrent(node):
            self._add_level(node)
        elif node.op_type == "Concat":
            axis = integer(node, "axis", 0)
            self._values[node.output[0]] = Joined(tuple(self._view(name) for name in node.input), axis)
        elif node.op_type == "Split":
            self._add_parts(node)
        else:
            self._values[node.output[0]] = self._viewed(node)

    def stack(self) -> Stack:
        """All that was read. Raises NoStack."""
        if self._x is None or len(self._lengths) != 1:
            raise NoStack
        outputs = {name: self._values[name] for name in self._written()}
        last = len(self._levels) - 1
        made = [view for value in outputs.values() for view in (value.parts if isinstance(value, Joined) else [value])]
        sources = [view.source for view in made]
        for view in made:
            source = view.source
            if not isinstance(source, Made) or (source.what == "y" and source.level != last) or view.starts:
                raise NoStack  # given values are not handed through, and a part of what is made is not written
            if not view.axes or view.axes[-1][-1:] != (UNITS,):
                raise NoStack  # units lie side by side
        if len(set(sources)) != len(sources) or not sources:
            raise NoStack
        for value in outputs.values():
            if isinstance(value, Joined):
                _check_joined(value)
        (lengths,) = self._lengths
        return Stack(tuple(self._levels), self._x, lengths, outputs)

    def _written(self) -> list[str]:
        """Values read outside these nodes, or by nothing at all: `cut` makes both of them outputs."""
        graph, names = self._graph, [name for index in sorted(self._nodes) for name in self._graph.writes[index]]
        return [
            name
            for name in names
            if name in graph.outputs or not set(graph.consumers.get(name, (-1,))) <= set(self._nodes)
        ]

    def _view(self, name: str, rank: int | None = None) -> ValueView:
        """A value that was read already, or one that is given."""
        if name in self._values:
            value = self._values[name]
            if isinstance(value, Joined):
                raise NoView
            return value
        shape = self._reading.shape(name)
        if shape is None:
            if rank is None:
                raise NoView
            shape = (None,) * rank
        if (element := self._reading.element(name)) != TensorProto.FLOAT:
            raise NoStack(f"{element_name(element)} values")
        sizes = {str(place): size for place, size in enumerate(shape) if isinstance(size, int)}
        return ValueView(name, tuple((str(place),) for place in range(len(shape))), sizes)

    def _viewed(self, node: NodeProto) -> ValueView:
        reading, view = self._reading, self._view(node.input[0])
        match node.op_type:
            case "Identity":
                return view
            case "Squeeze":
                return view.squeezed(_some(reading.numbers(node, 1, "axes")))
            case "Unsqueeze":
                return view.unsqueezed(_some(reading.numbers(node, 1, "axes")))
            case "Transpose":
                order = next((tuple(entry.ints) for entry in node.attribute if entry.name == "perm"), ())
                return view.transposed(order or tuple(reversed(range(len(view.axes)))))
            case "Reshape" if not integer(node, "allowzero", 0):
                return view.reshaped(_some(reading.numbers(node, 1, "shape")))
            case "Slice":
                return self._sliced(node, view)
            case "Gather":
                return self._gathered(node, view)
            case _:
                raise NoStack

    def _sliced(self, node: NodeProto, view: ValueView) -> ValueView:
        axes = self._reading.numbers(node, 3, "axes")
        place = axes[0] if axes and len(axes) == 1 else 0
        size = view.size(view.axes[place]) if -len(view.axes) <= place < len(view.axes) else None
        found = self._reading.slice(node, size)
        if found is None:
            raise NoView
        axis, start, stop = found
        return view.cut(axis, start, stop - start)

    def _gathered(self, node: NodeProto, view: ValueView) -> ValueView:
        indices, axis = self._reading.numbers(node, 1), integer(node, "axis", 0)
        if not indices or len(indices) != 1 or indices[0] < 0:
            raise NoView
        found = view.cut(axis, indices[0], 1)
        scalar = not self._reading.constants[node.input[1]].dims
        return found.squeezed([axis]) if scalar else found

    def _add_parts(self, node: NodeProto) -> None:
        view, axis = self._view(node.input[0]), integer(node, "axis", 0)
        if not -len(view.axes) <= axis < len(view.axes):
            raise NoView
        parts = list(self._reading.parts(node, view.size(view.axes[axis])))
        if len(parts) != len(node.output):
            raise NoView
        for name, start, stop in parts:
            self._values[name] = view.cut(axis, start, stop - start)

    def _add_level(self, node: NodeProto) -> None:
        number = len(self._levels)
        level = self._level(node)
        x = self._view(node.input[X], rank=3)
        if number == 0:
            self._x = _checked(x, level.inputs)
        elif not _is_on_top(x, number - 1, self._levels[-1]):
            raise NoStack
        directions = len(level.directions)
        sizes = {DIRECTIONS: directions, UNITS: level.units}
        side: Axis = (DIRECTIONS,) if directions > 1 else ()
        shapes = {"y": ((STEPS,), side, (BATCH,), (UNITS,)), "hidden": (side, (BATCH,), (UNITS,))}
        for name, what in zip(node.output, ("y", "hidden", "cell"), strict=False):
            if name:
                axes = shapes["y" if what == "y" else "hidden"]
                self._values[name] = ValueView(Made(number, what), axes, sizes)
        self._levels.append(level)
        self._lengths.add(optional_input(node, SEQUENCE_LENS))

    def _level(self, node: NodeProto) -> Level:
        attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        kind = node.op_type
        if kind == "GRU" and not attributes.get("linear_before_reset", 0):
            kind = "GRU before"
        if optional_input(node, P):
            raise NoStack("peepholes")
        if unknown := [name for name in sorted(_UNKNOWN_ATTRIBUTES) if attributes.get(name)]:
            raise NoStack(", ".join(unknown))
        names = tuple(optional_input(node, place) for place in (W, R, B))
        constants = self._reading.constants
        for name in filter(None, names):
            self._check_weight(name)
        if self._graph.opset < _OLDEST_OPSET:
            raise NoStack(f"opset {self._graph.opset}")
        sides, rows, inputs = constants[names[0]].dims
        units = rows // GATES[kind]
        shapes = [(sides, rows, inputs), (sides, rows, units), (sides, 2 * rows)]
        if any(tuple(constants[name].dims) != shape for name, shape in zip(names, shapes, strict=True) if name):
            raise NoStack
        if attributes.get("hidden_size", units) != units or min(units, inputs) < 1 or rows != units * GATES[kind]:
            raise NoStack
        first = [
            self._first(name, sides, units) if (name := optional_input(node, place)) else None
            for place in (INITIAL_H, INITIAL_C)
        ]
        directions = _directions(node.op_type, attributes, sides)
        return Level(kind, inputs, units, directions, (names[0], names[1], names[2]), first[0], first[1])

    def _check_weight(self, name: str) -> None:
        if name not in self._reading.constants:
            raise NoStack("weights that are not constants")
        if not self._reading.is_float(name):
            raise NoStack(f"{element_name(self._reading.element(name))} weights")

    def _first(self, name: str, directions: int, units: int) -> ValueView | None:
        if name in self._reading.constants and not self._reading.array(name).any():
            return None
        view = self._view(name, rank=3)
        if isinstance(view.source, Made) or view.size(view.axes[0]) not in (None, directions):
            raise NoStack
        return _checked(view, units)


def _checked(view: ValueView, width: int) -> ValueView:
    """A given value of three axes whose last one lies side by side. Raises NoStack."""
    if isinstance(view.source, Made) or len(view.axes) != 3:
        raise NoStack
    if any(len(axis) > 1 for axis in view.axes) or len(view.axes[2]) != 1:
        raise NoStack
    (innermost,) = view.axes[2]
    others = {int(atom) for axis in view.axes[:2] for atom in axis}
    if any(other > int(innermost) for other in others) or innermost in view.starts:
        raise NoStack
    if view.sizes.get(innermost, width) != width:
        raise NoStack
    return replace(view, sizes={**view.sizes, innermost: width})


def _is_on_top(x: ValueView, below: int, level: Level) -> bool:
    """Whether a layer reads all that the one below makes, directions and units together."""
    two = (DIRECTIONS, UNITS) if len(level.directions) > 1 else (UNITS,)
    return x.source == Made(below, "y") and x.axes == ((STEPS,), (BATCH,), two) and not x.starts


def _check_joined(value: Joined) -> None:
    """That the parts differ at most in how far they go along the axis. Raises NoStack."""
    rank = len(value.parts[0].axes)
    if not -rank <= value.axis < rank or any(len(part.axes) != rank for part in value.parts):
        raise NoStack
    place = value.axis % rank
    others = {(*part.axes[:place], *part.axes[place + 1 :], part.sizes[UNITS]) for part in value.parts}
    if place == rank - 1 or len(others) != 1 or any(part.size(part.axes[place]) is None for part in value.parts):
        raise NoStack


def _directions(op_type: str, attributes: dict[str, object], sides: int) -> tuple[Direction, ...]:
    given = attributes.get("direction", b"forward")
    text = given.decode() if isinstance(given, bytes) else str(given)
    if sides != (2 if text == "bidirectional" else 1):
        raise NoStack
    usual = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}[op_type]
    named = attributes.get("activations") or [*usual] * sides
    assert isinstance(named, list)
    names = [(name.decode() if isinstance(name, bytes) else str(name)).lower() for name in named]
    if op_type == "RNN":
        names = names[:sides]  # ONNX's default names two, whatever the direction
    if unknown := set(names) - set(ACTIVATIONS):
        raise NoStack(f"activation {', '.join(sorted(unknown))}")
    if len(names) != len(usual) * sides:
        raise NoStack
    backwards = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}.get(text)
    if backwards is None:
        raise NoStack
    return tuple(
        Direction(reverse, tuple(names[side * len(usual) : (side + 1) * len(usual)]))
        for side, reverse in enumerate(backwards)
    )


def _some(numbers: Sequence[int] | None) -> Sequence[int]:
    """Numbers that are given, and constant. Raises NoView."""
    if not numbers:
        raise NoView
    return numbers
