"""Write one stack as chunks: the nodes that take its place, with their constants and types."""

from collections.abc import Mapping

from onnx import GraphProto, NodeProto, helper

from chrion_graph.attributes import integer
from chrion_graph.graph import Graph
from chrion_graph.recurrent import INITIAL_H, SEQUENCE_LENS, direction, optional_input
from chrion_graph.rewrite.wavefront.bounds import Bounds, bounds_of, known_bounds
from chrion_graph.rewrite.wavefront.lengths import Lengths
from chrion_graph.rewrite.wavefront.stacks import Glue, Stack, StackedLayer, known_steps
from chrion_graph.rewrite.wavefront.writer import Writer
from chrion_graph.types import TensorType

_END = 2**63 - 1


def chunked(graph: Graph, target: GraphProto, stack: Stack, chunks: int) -> list[NodeProto]:
    """The nodes of a stack in chunks, diagonal by diagonal; their constants and types go to `target`."""
    lowest = graph.nodes[stack[0].index]
    writer = Writer(target, graph.opset, f"{graph.writes[stack[0].index][0]}/wavefront")
    reverse, steps = direction(lowest) == b"reverse", known_steps(graph, stack)
    if steps is None:
        bounds = bounds_of(writer, lowest.input[0], chunks, reverse)
    else:
        bounds = known_bounds(writer, steps, chunks, reverse)
    zeros = _Zeros(writer, lowest.input[0])
    batch = (graph.types[lowest.input[0]].shape or (None, None))[1]
    names = dict.fromkeys(optional_input(graph.nodes[layer.index], SEQUENCE_LENS) for layer in stack)
    lengths = {name: Lengths(writer, name, bounds, batch) for name in names if name}
    layers = [_ChunkedLayer(graph, writer, layer, bounds, zeros, lengths) for layer in stack]
    for diagonal in range(chunks + len(layers) - 1):
        for depth, layer in enumerate(layers):
            place = diagonal - depth
            if 0 <= place < chunks:
                layer.run(place, layers[depth - 1] if depth else None)
    for layer in layers:
        layer.join_steps(reverse)
        layer.pick_states()
    return writer.nodes


class _Zeros:
    """Initial states of layers that have none, one node for all layers that are alike.

    A layer that reads two states gets two nodes, as it reads two values in every other chunk.
    """

    def __init__(self, writer: Writer, sequence: str) -> None:
        self._writer = writer
        self._sequence = sequence
        self._shapes: dict[TensorType, str] = {}
        self._found: dict[tuple[TensorType, int], str] = {}

    def like(self, kind: TensorType, position: int, name: str) -> str:
        """Zeros of that type, [1, batch, hidden], for the states at `position`; called `name` where there are none."""
        key = kind, position
        if key not in self._found:
            if kind not in self._shapes:
                self._shapes[kind] = self._shape(kind)
            value = helper.make_tensor("value", kind.element, [1], [0])
            self._found[key] = self._writer.node("ConstantOfShape", [self._shapes[kind]], name, kind, value=value)
        return self._found[key]

    def _shape(self, kind: TensorType) -> str:
        assert kind.shape
        _, batch, hidden = kind.shape
        assert isinstance(hidden, int)
        if isinstance(batch, int):
            return self._writer.constant(1, batch, hidden)
        axes = self._writer.integers("Shape", self._sequence, size=3)
        batch = self._writer.integers("Gather", axes, self._writer.constant(1), axis=0)
        parts = self._writer.constant(1), batch, self._writer.constant(hidden)
        return self._writer.integers("Concat", *parts, size=3, axis=0)


class _ChunkedLayer:
    """One layer of a stack: its chunks as far as they are written."""

    def __init__(
        self,
        graph: Graph,
        writer: Writer,
        layer: StackedLayer,
        bounds: Bounds,
        zeros: _Zeros,
        lengths: Mapping[str, Lengths],
    ) -> None:
        self._graph, self._writer, self._bounds = graph, writer, bounds
        self._glue = layer.glue
        self._node = graph.nodes[layer.index]
        self._lengths = lengths.get(optional_input(self._node, SEQUENCE_LENS))
        self._name = graph.writes[layer.index][0]
        self._input = graph.types[self._node.input[0]]
        shape = self._input.shape or (None, None, None)
        self._state = TensorType(self._input.element, (1, shape[1], integer(self._node, "hidden_size", 0)))
        self._letters = "hc" if self._node.op_type == "LSTM" else "h"
        self._steps: list[str] = []
        self._states = [self._initial(position, zeros) for position in range(len(self._letters))]
        """For each letter the state before the first chunk and after each."""

    def run(self, place: int, below: "_ChunkedLayer | None") -> None:
        """Write the chunk at `place`, which reads that of the layer below, or a slice of the input."""
        node = NodeProto()
        node.CopyFrom(self._node)
        node.name = self._node.name and f"{self._node.name}/{place}"
        inputs = [*node.input, *[""] * INITIAL_H][: max(len(node.input), INITIAL_H + len(self._letters))]
        inputs[0] = self._through_glue(below._steps[place], place) if below else self._slice(place)
        for position, states in enumerate(self._states):
            inputs[INITIAL_H + position] = states[place]
            states.append(self._final(position, place))
        given = [states[place + 1] for states in self._states]
        if self._lengths:
            inputs[SEQUENCE_LENS] = self._lengths.of_chunk[place]
            given = [f"{name}/given" for name in given] if place else given
        steps = self._node.output[0] and f"{self._node.output[0]}/{place}"
        self._steps.append(steps)
        node.input[:] = inputs
        node.output[:] = [steps, *given]
        self._writer.add(node, self._chunk(self._bounds.steps), *[self._state] * len(self._letters))
        if self._lengths and place:
            for states, name in zip(self._states, given, strict=True):
                self._lengths.state(place, states[place], name, states[place + 1], self._state)

    def join_steps(self, reverse: bool) -> None:
        """Write all steps as one value, in the order of time."""
        whole, length = self._node.output[0], self._bounds.length
        if not whole:
            return
        in_time = self._steps[::-1] if reverse else self._steps
        if not length:
            self._writer.node("Concat", in_time, whole, None, axis=0)
            return
        # Without the steps that were repeated.
        joined = self._writer.node("Concat", in_time, f"{whole}/joined", self._chunk(None), axis=0)
        first, end = self._writer.constant(0), length
        if reverse:
            first, end = self._writer.integers("Sub", first, length), self._writer.constant(_END)
        self._writer.node("Slice", [joined, first, end, self._writer.constant(0)], whole, None)

    def pick_states(self) -> None:
        """Write the final states, which are those after the last chunk that is not repeated."""
        if not self._bounds.length:
            return
        finals = self._node.output[1:]
        every = TensorType(self._state.element, (self._bounds.chunks, *(self._state.shape or ())[1:]))
        for final, states in zip(finals, self._states, strict=False):
            if final:
                joined = self._writer.node("Concat", states[1:], f"{final}/joined", every, axis=0)
                self._writer.node("Gather", [joined, self._bounds.last], final, None, axis=0)

    def _initial(self, position: int, zeros: _Zeros) -> list[str]:
        given = optional_input(self._node, INITIAL_H + position)
        name = f"{self._name}/{self._letters[position]}"
        if not given:
            return [zeros.like(self._state, position, name)]
        if self._graph.types.get(given) == self._state:
            return [given]
        # A constant, or of another type than the states between chunks, it would set the first chunk apart.
        return [self._writer.node("Identity", [given], name, self._state)]

    def _final(self, position: int, place: int) -> str:
        """The name of a state after a chunk; where that is the last for sure, the layer's own."""
        if not self._bounds.length and place == self._bounds.chunks - 1 and len(self._node.output) > position + 1:
            own: str = self._node.output[position + 1]
            if own:
                return own
        return f"{self._name}/{self._letters[position]}{place}"

    def _slice(self, place: int) -> str:
        bounds, shape = self._bounds, self._input.shape or (None, None, None)
        window = [self._node.input[0], bounds.starts[place], bounds.ends[place], self._writer.constant(0)]
        kind = TensorType(self._input.element, (bounds.steps, *shape[1:]))
        return self._writer.node("Slice", window, f"{self._name}/x{place}", kind)

    def _through_glue(self, value: str, place: int) -> str:
        for glue in self._glue:
            node = NodeProto()
            node.CopyFrom(self._graph.nodes[glue.index])
            node.input[0] = value
            if glue.shape:
                node.input[1] = self._writer.constant(*glue.shape)
            value = f"{node.output[0]}/{place}"
            kind = self._glued(node.output[0], glue)
            node.output[0], node.name = value, node.name and f"{node.name}/{place}"
            self._writer.add(node, kind)
        return value

    def _glued(self, name: str, glue: Glue) -> TensorType:
        kind = self._graph.types.get(name, TensorType(self._input.element, None))
        shape = kind.shape and (*kind.shape[: glue.axis], self._bounds.steps, *kind.shape[glue.axis + 1 :])
        return TensorType(kind.element, shape)

    def _chunk(self, steps: int | None) -> TensorType:
        """The type of the output of so many steps."""
        return TensorType(self._input.element, (steps, 1, *(self._state.shape or ())[1:]))
