"""Write the cells of a layer: the input's product once for all steps, then each step on the state of the one before."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper

from chrion_graph.rewrite.support.constants import Constants
from chrion_graph.rewrite.support.emitter import Emitter, Shape
from chrion_graph.rewrite.support.reading import Reading
from chrion_graph.rewrite.unroll.layer import Activation, RecurrentLayer

Array = npt.NDArray[Any]
State = tuple[str | None, ...]
"""The hidden state, and of an LSTM the cell state, each [1, batch, hidden]; None while it is zero."""
Cell = Callable[[int, State], State]
"""From the number of a step and the state before it to the state after it."""


class Unroller:
    """Takes nodes of one graph apart; gathers the constants and types that the new nodes need."""

    def __init__(self, reading: Reading, prefix: str) -> None:
        """All names that it makes up begin with `prefix`."""
        self.constants = Constants(reading.graph.folder)
        self._reading = reading
        self._emitter = Emitter(reading, prefix)

    @property
    def tensors(self) -> list[TensorProto]:
        """The new constants."""
        return [*self._emitter.tensors, *self.constants.tensors]

    @property
    def infos(self) -> list[onnx.ValueInfoProto]:
        """The types of the new values."""
        return self._emitter.infos

    def cells(self, layer: RecurrentLayer) -> list[NodeProto]:
        """The nodes that take the place of the layer's."""
        before = len(self._emitter.nodes)
        batch = self._emitter.shape(layer.sequence, 3)[1]
        ends: list[State] = []
        sequences: list[str] = []
        for direction, backward in enumerate(layer.reverse):
            writer = _Direction(self._reading, self._emitter, self.constants, layer, direction, batch)
            states = writer.run(range(layer.steps)[:: -1 if backward else 1])
            ends.append(states[-1])
            hidden = [str(state[0]) for state in states]
            sequences.append(writer.sequence(hidden[::-1] if backward else hidden))
        outputs = [*layer.node.output, "", "", ""]
        for name, values, axis in (
            (outputs[0], sequences, 1),
            *((name, [str(end[at]) for end in ends], 0) for at, name in enumerate(outputs[1:3]) if at < len(ends[0])),
        ):
            if name:
                self._emitter.nodes.append(helper.make_node("Concat", values, [name], axis=axis))
        return self._emitter.nodes[before:]


class _Direction:
    """One direction of a layer."""

    def __init__(
        self,
        reading: Reading,
        emitter: Emitter,
        constants: Constants,
        layer: RecurrentLayer,
        direction: int,
        batch: int | str | None,
    ) -> None:
        self._emitter = emitter
        self._constants = constants
        self._layer = layer
        self._opset = reading.graph.opset
        self._direction = direction
        self._batch = batch
        self._activations = layer.activations[direction]
        self._w = reading.array(layer.weights)[direction]
        self._r = reading.array(layer.recurrence)[direction]
        self._b = reading.array(layer.bias)[direction] if layer.bias else np.zeros(2 * len(self._w), self._w.dtype)
        self._p = reading.array(layer.peepholes)[direction] if layer.peepholes else None
        self._first: State = tuple(
            None if not name or reading.is_zero(name) else self._of_direction(name) for name in layer.states
        )

    def run(self, order: Sequence[int]) -> list[State]:
        """The states after each step, in the order in which the steps are taken."""
        cell = {"LSTM": self._lstm, "GRU": self._gru, "RNN": self._rnn}[self._layer.node.op_type]()
        states, state = [], self._first
        for step in order:
            state = cell(step, state)
            states.append(state)
        return states

    def sequence(self, hidden: Sequence[str]) -> str:
        """Hidden states of all steps in the order of time, as [steps, 1, batch, hidden]."""
        layer = self._layer
        steps = self._one("Concat", hidden, (layer.steps, self._batch, layer.hidden), axis=0)
        shape = self._emitter.integers(layer.steps, 1, -1, layer.hidden)
        return self._one("Reshape", [steps, shape], (layer.steps, 1, self._batch, layer.hidden))

    def _lstm(self) -> Cell:
        """Gates i, o, f, c. ONNX's names: f, g and h are the activations."""
        hidden = self._layer.hidden
        gates, recurrence = self._projected(self._w, self._bias(slice(None), both=True)), self._turned(self._r, "R")
        f, g, h = self._activations
        peepholes = [self._constant("P", row) for row in self._p.reshape(3, hidden)] if self._p is not None else None

        def watched(gate: str, memory: str | None, number: int) -> str:
            if peepholes is None or memory is None:
                return gate
            return self._op("Add", gate, self._op("Mul", memory, peepholes[number]))

        def step(at: int, state: State) -> State:
            before, memory = state
            i, o, forget, c = self._split(self._plus_product(gates[at], before, recurrence), [hidden] * 4, axis=2)
            into = self._op("Mul", entered := self._activated(f, watched(i, memory, 0)), self._activated(g, c))
            if memory is None:
                new = into
            elif self._layer.input_forget:  # the forget gate is 1 - i
                new = self._op("Add", self._op("Sub", memory, self._op("Mul", entered, memory)), into)
            else:
                kept = self._op("Mul", self._activated(f, watched(forget, memory, 2)), memory)
                new = self._op("Add", kept, into)
            opened = self._activated(f, watched(o, new, 1))
            return self._op("Mul", opened, self._activated(h, new, clipped=False)), new

        return step

    def _gru(self) -> Cell:
        """Gates z, r, h. The new state is h + z * (H - h), which is ONNX's (1 - z) * h + z * H."""
        hidden, late = self._layer.hidden, self._layer.linear_before_reset
        both, last = slice(0, 2 * hidden), slice(2 * hidden, None)
        zr = self._projected(self._w[both], self._bias(both, both=True))
        h = self._projected(self._w[last], self._bias(last, both=not late))
        of_zr, of_h = self._turned(self._r[both], "R"), self._turned(self._r[last], "R")
        inner = self._b[len(self._w) :][last]
        added = self._constant("b", inner) if late and inner.any() else None
        f, g = self._activations

        def reset(r: str, before: str | None) -> str | None:
            """What is added to the hidden gate's input; None for nothing."""
            if not late:
                return before and self._product(self._op("Mul", r, before), of_h)
            if before is None:
                return added and self._op("Mul", r, added)
            product = self._product(before, of_h)
            return self._op("Mul", r, self._op("Add", product, added) if added else product)

        def step(at: int, state: State) -> State:
            (before,) = state
            gates = self._activated(f, self._plus_product(zr[at], before, of_zr))
            z, r = self._split(gates, [hidden, hidden], axis=2)
            more = reset(r, before)
            new = self._activated(g, self._op("Add", h[at], more) if more else h[at])
            if before is None:
                return (self._op("Sub", new, self._op("Mul", z, new)),)
            return (self._op("Add", new, self._op("Mul", z, self._op("Sub", before, new))),)

        return step

    def _rnn(self) -> Cell:
        gates, recurrence = self._projected(self._w, self._bias(slice(None), both=True)), self._turned(self._r, "R")
        (f,) = self._activations

        def step(at: int, state: State) -> State:
            return (self._activated(f, self._plus_product(gates[at], state[0], recurrence)),)

        return step

    def _bias(self, gates: slice, both: bool) -> Array:
        """The bias of some gates: that of the input, and that of the state too where it is added in `both`."""
        given, added = self._b[: len(self._w)][gates], self._b[len(self._w) :][gates]
        return given + added if both else given

    def _projected(self, weights: Array, bias: Array) -> list[str]:
        """The input times some gates' weights, step by step: one product, cut into pieces of [1, batch, gates]."""
        steps, width = self._layer.steps, len(weights)
        shape = (steps, self._batch, width)
        value = self._one("MatMul", [self._layer.sequence, self._turned(weights, "W")], shape)
        if bias.any():
            value = self._one("Add", [value, self._constant("b", bias)], shape)
        return self._split(value, [1] * steps, axis=0) if steps > 1 else [value]

    def _plus_product(self, gate: str, state: str | None, recurrence: str) -> str:
        return gate if state is None else self._op("Add", gate, self._product(state, recurrence))

    def _product(self, state: str, recurrence: str) -> str:
        return self._one("MatMul", [state, recurrence], (1, self._batch, None))

    def _activated(self, activation: Activation, value: str, clipped: bool = True) -> str:
        if clipped and self._layer.clip:
            value = self._clip(value)
        limits = {"alpha": activation.alpha, "beta": activation.beta}
        attributes = {name: number for name, number in limits.items() if number is not None}
        return self._op(activation.op_type, value, **attributes)

    def _clip(self, value: str) -> str:
        limit = self._layer.clip
        if self._opset < 11:
            return self._op("Clip", value, min=-limit, max=limit)
        return self._op("Clip", value, self._number(-limit), self._number(limit))

    def _op(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        return self._one(op_type, inputs, (1, self._batch, None), **attributes)

    def _one(self, op_type: str, inputs: Sequence[str], shape: Shape, **attributes: Any) -> str:
        return self._emitter.node(op_type, inputs, [shape], **attributes)[0]

    def _split(self, value: str, sizes: Sequence[int], axis: int) -> list[str]:
        shape = self._emitter.shape(value, 3)
        shapes = [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]
        if self._opset < 13:
            return self._emitter.node("Split", [value], shapes, axis=axis, split=list(sizes))
        return self._emitter.node("Split", [value, self._emitter.integers(*sizes)], shapes, axis=axis)

    def _of_direction(self, state: str) -> str:
        """This direction's part of a first state."""
        directions = len(self._layer.reverse)
        return state if directions == 1 else self._split(state, [1] * directions, axis=0)[self._direction]

    def _turned(self, weights: Array, what: str) -> str:
        """Weights as a product takes them, [features, gates]."""
        return self._constant(what, np.ascontiguousarray(weights.T))

    def _number(self, number: float) -> str:
        return self._constant("number", np.asarray(number, self._w.dtype))

    def _constant(self, what: str, values: Array) -> str:
        return self._constants.add(self._emitter.fresh(what), values)
