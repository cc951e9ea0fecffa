"""Stacks of whole LSTM, GRU and RNN layers, laid out as PyTorch exports them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Literal

import onnx
from onnx import TensorProto

from chrion_models.families.case import ModelCase
from chrion_models.families.graph import GraphBuilder

Kind = Literal["LSTM", "GRU", "RNN"]
Direction = Literal["forward", "reverse", "bidirectional"]

GATES: dict[Kind, int] = {"LSTM": 4, "GRU": 3, "RNN": 1}
State = tuple[str, str]
"""Hidden and cell state, each [directions, batch, hidden]; "" where there is none."""


@dataclass(frozen=True)
class Stack:
    """Layers of one kind and width."""

    kind: Kind
    direction: Direction
    layers: int
    hidden: int

    @property
    def directions(self) -> int:
        """2 for a bidirectional stack, else 1."""
        return 2 if self.direction == "bidirectional" else 1

    def add(
        self, graph: GraphBuilder, name: str, value: str, inputs: int, states: Sequence[State] = (), lengths: str = ""
    ) -> tuple[str, list[State]]:
        """Add the layers, called `name`, over `value` [seq, batch, inputs].

        Returns the last layer's [seq, batch, directions * hidden] and the final state of every layer.
        """
        finals: list[State] = []
        for layer in range(self.layers):
            initial = states[layer] if states else ("", "")
            value, final = self._layer(graph, value, inputs, initial, lengths, f"{name}.{layer}")
            finals.append(final)
            inputs = self.directions * self.hidden
        return value, finals

    def _layer(
        self, graph: GraphBuilder, value: str, inputs: int, initial: State, lengths: str, name: str
    ) -> tuple[str, State]:
        bound, rows = self.hidden**-0.5, GATES[self.kind] * self.hidden
        weights = [
            graph.weight(f"{name}.{role}", (self.directions, *shape), bound)
            for role, shape in (("W", (rows, inputs)), ("R", (rows, self.hidden)), ("B", (2 * rows,)))
        ]
        attributes = {"linear_before_reset": 1} if self.kind == "GRU" else {}
        y, h, *c = graph.nodes(
            self.kind,
            [value, *weights, lengths, *(state for state in initial if state)],
            3 if self.kind == "LSTM" else 2,
            hidden_size=self.hidden,
            direction=self.direction,
            **attributes,
        )
        final = (h, c[0] if c else "")
        # Y is [seq, directions, batch, hidden].
        if self.directions == 1:
            return graph.node("Squeeze", y, graph.constant(1)), final
        side_by_side = graph.node("Transpose", y, perm=[0, 2, 1, 3])
        return graph.node("Reshape", side_by_side, graph.constant(0, 0, -1)), final


def state_names(kind: Kind) -> tuple[str, ...]:
    """The letters of the states that a layer of this kind carries."""
    return ("h", "c") if kind == "LSTM" else ("h",)


def stack(
    kind: Kind,
    direction: Direction,
    layers: int,
    hidden: int,
    steps: int,
    batch: int,
    states: bool = False,
    lengths: bool = False,
) -> ModelCase:
    """One stack as a model, input size = hidden; `states` adds initial states, `lengths` a length per sequence."""
    shape = Stack(kind, direction, layers, hidden)
    name = f"{kind.lower()}-{direction}-l{layers}-h{hidden}-s{steps}-b{batch}"
    inputs: dict[str, tuple[int, ...]] = {"input": (steps, batch, hidden)}
    if lengths:
        name += "-lengths"
        inputs["lengths"] = (batch,)
    if states:
        name += "-states"
        for state in state_names(kind):
            inputs[f"{state}_0"] = (layers * shape.directions, batch, hidden)
    values = {"lengths": range(1, steps + 1)} if lengths else {}
    return ModelCase(name, partial(_build, shape, states, lengths, name), inputs, values)


def full() -> Iterator[ModelCase]:
    """Every kind, direction, depth, width, length and batch that the benchmarks cover."""
    kinds: tuple[Kind, ...] = ("LSTM", "GRU", "RNN")
    directions: tuple[Direction, ...] = ("forward", "bidirectional")
    for point in product(kinds, directions, (1, 2, 4), (64, 128, 256, 512), (32, 128), (1, 8)):
        yield stack(*point)
    for kind in kinds:
        yield stack(kind, "bidirectional", 2, 128, 128, 8, states=True, lengths=True)


def small() -> Iterator[ModelCase]:
    """Every kind and direction, each option, at sizes that run in a millisecond."""
    for kind in GATES:
        yield stack(kind, "forward", 2, 16, 8, 1)
        yield stack(kind, "reverse", 1, 16, 8, 1)
        yield stack(kind, "bidirectional", 2, 16, 8, 2)
        yield stack(kind, "bidirectional", 2, 16, 8, 3, states=True, lengths=True)


def _build(shape: Stack, states: bool, lengths: bool, name: str) -> onnx.ModelProto:
    graph = GraphBuilder()
    depth = shape.layers * shape.directions
    value = graph.input("input", ("seq", "batch", shape.hidden))
    length = graph.input("lengths", ("batch",), TensorProto.INT32) if lengths else ""
    initials: list[State] = []
    if states:
        given = [graph.input(f"{state}_0", (depth, "batch", shape.hidden)) for state in state_names(shape.kind)]
        for first in range(0, depth, shape.directions):
            window = (graph.constant(first), graph.constant(first + shape.directions), graph.constant(0))
            h, *c = (graph.node("Slice", state, *window) for state in given)
            initials.append((h, c[0] if c else ""))
    output, finals = shape.add(graph, shape.kind.lower(), value, shape.hidden, initials, length)
    graph.output("output", output, ("seq", "batch", shape.directions * shape.hidden))
    for index, state in enumerate(state_names(shape.kind)):
        last = [final[index] for final in finals]
        joined = last[0] if len(last) == 1 else graph.node("Concat", *last, axis=0)
        graph.output(f"{state}_n", joined, (depth, "batch", shape.hidden))
    return graph.model(name)
