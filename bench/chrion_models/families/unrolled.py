"""Grids of unrolled cells (layers x steps), as PyTorch exports a loop over LSTMCell, GRUCell or RNNCell."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import onnx

from chrion_models.families.case import ModelCase
from chrion_models.families.graph import GraphBuilder
from chrion_models.families.stack import GATES, Kind, State, state_names

Linear = Literal["gemm", "matmul"]
"""How a dense layer is written: one Gemm, or MatMul and Add."""
Parting = Literal["split", "slice"]
"""How the gates are taken apart: one Split, or a Slice each."""


@dataclass(frozen=True)
class Grid:
    """A grid of cells; the cells of a layer share their weights."""

    kind: Kind
    layers: int
    hidden: int
    steps: int
    linear: Linear
    parting: Parting

    @property
    def name(self) -> str:
        """The grid's part of the model's name."""
        return f"unrolled-{self.kind.lower()}-l{self.layers}-h{self.hidden}-s{self.steps}"


class Cell:
    """One layer's cell: weights made once, nodes added for each step."""

    def __init__(self, graph: GraphBuilder, grid: Grid, layer: int) -> None:
        self.graph, self.grid = graph, grid
        gates, bound = GATES[grid.kind] * grid.hidden, grid.hidden**-0.5
        shape = (gates, grid.hidden) if grid.linear == "gemm" else (grid.hidden, gates)
        self.weights = {
            side: (
                graph.weight(f"cell{layer}.weight_{side}", shape, bound),
                graph.weight(f"cell{layer}.bias_{side}", (gates,), bound),
            )
            for side in ("ih", "hh")
        }

    def step(self, x: str, h: str, c: str) -> tuple[str, str]:
        """Add one cell over input, hidden and cell state, each [batch, hidden]; returns the new states."""
        from_input, from_hidden = self._linear("ih", x), self._linear("hh", h)
        match self.grid.kind:
            case "LSTM":
                return self._lstm(from_input, from_hidden, c)
            case "GRU":
                return self._gru(from_input, from_hidden, h), c
            case "RNN":
                return self.graph.node("Tanh", self.graph.node("Add", from_input, from_hidden)), c

    def _linear(self, side: str, value: str) -> str:
        weight, bias = self.weights[side]
        if self.grid.linear == "gemm":
            return self.graph.node("Gemm", value, weight, bias, transB=1)
        return self.graph.node("Add", self.graph.node("MatMul", value, weight), bias)

    def _parts(self, value: str, count: int) -> list[str]:
        if self.grid.parting == "split":
            return self.graph.nodes("Split", [value], count, axis=1)
        size, constant = self.grid.hidden, self.graph.constant
        return [
            self.graph.node("Slice", value, constant(part * size), constant((part + 1) * size), constant(1))
            for part in range(count)
        ]

    def _lstm(self, from_input: str, from_hidden: str, c: str) -> tuple[str, str]:
        node = self.graph.node
        i, f, g, o = self._parts(node("Add", from_input, from_hidden), 4)
        kept = node("Mul", node("Sigmoid", f), c)
        new_c = node("Add", kept, node("Mul", node("Sigmoid", i), node("Tanh", g)))
        return node("Mul", node("Sigmoid", o), node("Tanh", new_c)), new_c

    def _gru(self, from_input: str, from_hidden: str, h: str) -> str:
        node = self.graph.node
        (xr, xz, xn), (hr, hz, hn) = self._parts(from_input, 3), self._parts(from_hidden, 3)
        reset, update = node("Sigmoid", node("Add", xr, hr)), node("Sigmoid", node("Add", xz, hz))
        new = node("Tanh", node("Add", xn, node("Mul", reset, hn)))
        return node("Add", new, node("Mul", update, node("Sub", h, new)))


def unrolled(
    kind: Kind,
    layers: int,
    hidden: int,
    steps: int,
    batch: int,
    linear: Linear = "gemm",
    parting: Parting = "split",
) -> ModelCase:
    """One grid as a model that takes and returns its states; the number of steps is fixed in it, the batch open."""
    grid = Grid(kind, layers, hidden, steps, linear, parting)
    name = f"{grid.name}-b{batch}-{linear}-{parting}"
    states = {f"{state}_0": (layers, batch, hidden) for state in state_names(kind)}
    return ModelCase(name, partial(_build, grid, name), {"input": (steps, batch, hidden), **states})


def full() -> Iterator[ModelCase]:
    """The sizes that the benchmarks cover."""
    for kind in GATES:
        for layers, hidden in ((4, 64), (8, 128), (8, 256), (4, 512)):
            yield unrolled(kind, layers, hidden, 32, 1)
            yield unrolled(kind, layers, hidden, 32, 1, "matmul", "slice")
        yield unrolled(kind, 4, 256, 32, 8)


def small() -> Iterator[ModelCase]:
    """Every kind in every way of writing it."""
    for kind in GATES:
        yield unrolled(kind, 2, 16, 4, 1, "gemm", "split")
        yield unrolled(kind, 2, 16, 4, 2, "matmul", "slice")
    yield unrolled("GRU", 2, 16, 4, 1, "gemm", "slice")
    yield unrolled("LSTM", 2, 16, 4, 1, "matmul", "split")


def _build(grid: Grid, name: str) -> onnx.ModelProto:
    graph = GraphBuilder()
    node = graph.node
    sequence = graph.input("input", (grid.steps, "batch", grid.hidden))
    # States made of zeros by Shape and ConstantOfShape would leave every shape in the grid unknown, and ONNX
    # Runtime's memory planner then takes quadratic time: 10 s for 3,400 nodes.
    given = [graph.input(f"{state}_0", (grid.layers, "batch", grid.hidden)) for state in state_names(grid.kind)]
    cells = [Cell(graph, grid, layer) for layer in range(grid.layers)]
    states: list[State] = []
    for layer in range(grid.layers):
        h, *c = (node("Gather", state, graph.scalar(layer), axis=0) for state in given)
        states.append((h, c[0] if c else ""))
    tops = []
    for step in range(grid.steps):
        value = node("Gather", sequence, graph.scalar(step), axis=0)
        for layer, cell in enumerate(cells):
            states[layer] = cell.step(value, *states[layer])
            value = states[layer][0]
        tops.append(node("Unsqueeze", value, graph.constant(0)))
    graph.output("output", node("Concat", *tops, axis=0), (grid.steps, "batch", grid.hidden))
    for index, name_of_state in enumerate(state_names(grid.kind)):
        finals = [node("Unsqueeze", state[index], graph.constant(0)) for state in states]
        graph.output(f"{name_of_state}_n", node("Concat", *finals, axis=0), (grid.layers, "batch", grid.hidden))
    return graph.model(name)
