"""Unrolled recurrent layers in the many ways in which exporters write them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from onnx import numpy_helper

from chrion_models.families.graph import GraphBuilder

HIDDEN, FEATURES = 6, 5


@dataclass(frozen=True)
class Style:
    """One way to write a cell. The gates are an LSTM's i, o, f, g, a GRU's z, r, n."""

    kind: Literal["LSTM", "GRU", "GRU-reset-first", "RNN", "RNN-relu"] = "LSTM"
    linear: Literal["gemm", "gemm-transposed", "gemm-scaled", "matmul", "bias-first", "gate-by-gate"] = "gemm"
    joined: Literal["", "x,h", "h,x"] = ""
    """Input and state side by side before one product; not where a GRU resets the product with the state."""
    biased: str = "xh"
    """Whose products have a bias."""
    parting: Literal["split", "slice"] = "split"
    order: tuple[int, ...] = (0, 1, 2, 3)
    """The order in which the gates lie in the weights; those beyond the kind's gates do not count."""
    mix: Literal["z·h", "n+z·gap", "n-z·gap", "h+z·gap", "z·n"] = "n+z·gap"
    """How a GRU's update gate mixes old state and new."""
    swapped: bool = False
    """Whether the operands of additions and products are the other way round."""


class Layer:
    """A cell's weights, made once, and its nodes, added for each step."""

    def __init__(self, graph: GraphBuilder, style: Style, name: str = "cell", features: int = FEATURES) -> None:
        self.graph, self.style, self.name = graph, style, name
        self.features = features
        self.hidden = HIDDEN
        self._made: set[str] = set()

    def step(self, x: str, h: str, c: str = "") -> tuple[str, str]:
        """Add one cell over values of two axes; returns the new states."""
        match self.style.kind:
            case "LSTM":
                return self._lstm(x, h, c)
            case "GRU":
                return self._gru(x, h), c
            case "GRU-reset-first":
                return self._gru_reset_first(x, h), c
            case _:
                activation = "Relu" if self.style.kind == "RNN-relu" else "Tanh"
                return self.graph.node(activation, *self._sums(x, h, (0,))), c

    def _lstm(self, x: str, h: str, c: str) -> tuple[str, str]:
        node, two = self.graph.node, self._two
        i, o, f, g = self._sums(x, h, (0, 1, 2, 3))
        new = two("Add", two("Mul", node("Sigmoid", f), c), two("Mul", node("Sigmoid", i), node("Tanh", g)))
        return two("Mul", node("Sigmoid", o), node("Tanh", new)), new

    def _gru(self, x: str, h: str) -> str:
        gates = (0, 1, 2)
        xz, xr, xn = self._parted(self._products("x", x, gates), gates)
        hz, hr, hn = self._parted(self._products("h", h, gates), gates)
        reset = self.graph.node("Sigmoid", self._two("Add", xr, hr))
        new = self.graph.node("Tanh", self._two("Add", xn, self._two("Mul", reset, hn)))
        return self._mixed(self._two("Add", xz, hz), h, new)

    def _gru_reset_first(self, x: str, h: str) -> str:
        z, r = self._sums(x, h, (0, 1))
        reset = self._two("Mul", self.graph.node("Sigmoid", r), h)
        new = self.graph.node("Tanh", *self._sums(x, reset, (2,)))
        return self._mixed(z, h, new)

    def _mixed(self, update: str, h: str, new: str) -> str:
        node, two = self.graph.node, self._two
        z = node("Sigmoid", update)
        match self.style.mix:
            case "z·h":
                return two("Add", two("Mul", node("Sub", self._one(), z), new), two("Mul", z, h))
            case "z·n":
                return two("Add", two("Mul", node("Sub", self._one(), z), h), two("Mul", z, new))
            case "n+z·gap":
                return two("Add", new, two("Mul", z, node("Sub", h, new)))
            case "n-z·gap":
                return node("Sub", new, two("Mul", z, node("Sub", new, h)))
            case "h+z·gap":
                return two("Add", h, two("Mul", z, node("Sub", new, h)))

    def _sums(self, x: str, h: str, gates: tuple[int, ...]) -> list[str]:
        """What stands before the gates' activations."""
        if self.style.joined:
            pair = (x, h) if self.style.joined == "x,h" else (h, x)
            return self._parted(self._products("xh", self.graph.node("Concat", *pair, axis=1), gates), gates)
        of_x, of_h = self._products("x", x, gates), self._products("h", h, gates)
        return self._parted([self._two("Add", one, other) for one, other in zip(of_x, of_h, strict=True)], gates)

    def _products(self, side: str, value: str, gates: tuple[int, ...]) -> list[str]:
        """One product for all gates, or one each."""
        if self.style.linear == "gate-by-gate":
            return [self._product(f"{side}{gate}", side, value, 1) for gate in gates]
        return [self._product(f"{side}{''.join(map(str, gates))}", side, value, len(gates))]

    def _product(self, name: str, side: str, value: str, gates: int) -> str:
        rows, width = {"x": self.features, "h": self.hidden}, gates * self.hidden
        shape = (sum(rows[one] for one in side), width)
        bias = self._weight(f"bias_{name}", (width,)) if set(side) & set(self.style.biased) else ""
        match self.style.linear:
            case "gemm":
                return self.graph.node("Gemm", value, self._weight(name, shape), bias)
            case "gemm-transposed":
                return self.graph.node("Gemm", value, self._weight(name, shape[::-1]), bias, transB=1)
            case "gemm-scaled":
                return self.graph.node("Gemm", value, self._weight(name, shape), bias, alpha=0.5, beta=2.0)
            case _:
                product = self.graph.node("MatMul", value, self._weight(name, shape))
                pair = (bias, product) if self.style.linear == "bias-first" else (product, bias)
                return self.graph.node("Add", *pair) if bias else product

    def _parted(self, values: list[str], gates: tuple[int, ...]) -> list[str]:
        """The gates in the order of `gates`, whatever their order in the weights."""
        if len(values) > 1 or len(gates) == 1:
            return values
        graph, size = self.graph, self.hidden
        stored = [gate for gate in self.style.order if gate in gates]
        if self.style.parting == "split":
            parts = graph.nodes("Split", values, len(gates), axis=1)
        else:
            bounds = [(graph.constant(at * size), graph.constant((at + 1) * size)) for at in range(len(gates))]
            parts = [graph.node("Slice", values[0], start, stop, graph.constant(1)) for start, stop in bounds]
        return [parts[stored.index(gate)] for gate in gates]

    def _two(self, op_type: str, one: str, other: str) -> str:
        return self.graph.node(op_type, *((other, one) if self.style.swapped else (one, other)))

    def _weight(self, name: str, shape: tuple[int, ...]) -> str:
        name = f"{self.name}.{name}"
        if name not in self._made:
            self._made.add(name)
            self.graph.weight(name, shape, 0.8)
        return name

    def _one(self) -> str:
        return constant(self.graph, np.ones((), np.float32))


def constant(graph: GraphBuilder, values: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> str:
    """A Constant node."""
    return graph.node("Constant", value=numpy_helper.from_array(values))
