"""Recognise the cells of recurrent layers by what their gates do, whatever order the gates are stored in.

The equations are those of the ONNX operators LSTM, GRU and RNN.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import NamedTuple

from onnx import NodeProto

from chrion_graph.rewrite.reroll.affine import Affine, affines
from chrion_graph.rewrite.reroll.parts import Bias, View
from chrion_graph.rewrite.support.reading import Reading

Role = tuple[tuple[View, ...], ...]
"""For each gate the weights that one input is multiplied with."""


class CellKind(NamedTuple):
    """What a cell computes."""

    op_type: str
    activation: str = ""
    """An RNN's."""
    linear_before_reset: bool = False
    """A GRU's: whether its reset gate multiplies the product with the hidden state, and not the state itself."""

    @property
    def input_gates(self) -> tuple[int, ...]:
        """Positions among a cell's gates of those that the input enters, in the operator's order."""
        return {"LSTM": (0, 1, 2, 3), "GRU": (0, 1, 2), "RNN": (0,)}[self.op_type]

    @property
    def state_gates(self) -> tuple[int, ...]:
        """The same for the hidden state."""
        return (0, 1, 3) if self.op_type == "GRU" else self.input_gates


@dataclass(frozen=True, eq=False)
class RecurrentCell:
    """One step of a layer. Its gates are in ONNX's order; a GRU has its last gate twice, from input and from state."""

    kind: CellKind
    gates: tuple[Affine, ...]
    output: str
    """The hidden state that it makes."""
    state: str | None
    """The hidden state that it reads, where its form alone tells which input that is."""
    memory: tuple[str, str] | None
    """An LSTM's cell states: the one it reads, and the one it makes."""
    nodes: frozenset[int]

    @property
    def hidden(self) -> int:
        """The size of its state."""
        return self.gates[0].width

    @cached_property
    def roles(self) -> dict[str, Role]:
        """Each input with its weights."""
        sources = dict.fromkeys(source for gate in self.gates for source, _ in gate.terms)
        return {
            source: tuple(tuple(sorted(view for name, view in gate.terms if name == source)) for gate in self.gates)
            for source in sources
        }

    @cached_property
    def biases(self) -> tuple[tuple[Bias, ...], ...]:
        """The biases of each gate."""
        return tuple(tuple(sorted(gate.biases)) for gate in self.gates)

    @cached_property
    def key(self) -> tuple[object, ...]:
        """What the cells of one layer have in common: all but the values they read."""
        return self.kind, tuple(sorted(self.roles.values())), self.biases


class Cells:
    """All cells of a graph."""

    def __init__(self, reading: Reading) -> None:
        self.affines = affines(reading)
        self._reading = reading
        self.found: list[RecurrentCell] = []
        rules = {"Mul": self._lstm, "Add": self._gru, "Sub": self._gru, "Tanh": self._rnn, "Relu": self._rnn}
        for node in reading.graph.nodes:
            rule = rules.get(node.op_type)
            if rule is not None and node.domain in ("", "ai.onnx"):
                cell = next(rule(node), None)
                if cell is not None:
                    self.found.append(cell)
        self.by_output = {cell.output: cell for cell in self.found}

    def _lstm(self, node: NodeProto) -> Iterator[RecurrentCell]:
        """Output gate times tanh of (forget gate times the old cell state, plus input gate times tanh of the new)."""
        for first, second in permutations(node.input):
            out, wide = self._gate(first, "Sigmoid"), self._reading.maker(second, "Tanh")
            total = self._reading.maker(wide.input[0], "Add") if out is not None and wide is not None else None
            if out is None or wide is None or total is None:
                continue
            for (kept, added), (f, old), (i, new) in self._two_products(total):
                forget, take = self._gate(f, "Sigmoid"), self._gate(i, "Sigmoid")
                values = self._gate(new, "Tanh")
                if forget is None or take is None or values is None:
                    continue
                gates = (take, out, forget, values)
                if _consistent(gates):
                    inner = (node.output[0], first, second, total.output[0], kept, added, f, i, new)
                    nodes = self._nodes(gates, inner)
                    yield RecurrentCell(CellKind("LSTM"), gates, node.output[0], None, (old, total.output[0]), nodes)

    def _two_products(self, total: NodeProto) -> Iterator[tuple[tuple[str, str], tuple[str, str], tuple[str, str]]]:
        for kept, added in permutations(total.input):
            one, other = self._reading.maker(kept, "Mul"), self._reading.maker(added, "Mul")
            if one is not None and other is not None:
                for f, old in permutations(one.input):
                    for i, new in permutations(other.input):
                        yield (kept, added), (f, old), (i, new)

    def _gru(self, node: NodeProto) -> Iterator[RecurrentCell]:
        """A mean of the old state and of a new one, weighted by the update gate."""
        for gate, one, other, mixing in self._mixtures(node):
            update = self._gate(gate, "Sigmoid")
            if update is None:
                continue
            # ONNX's update gate keeps the old state; where it brings in the new one, its complement is sigmoid(-x).
            for update_gate, state, new in ((update, one, other), (update.scaled(-1), other, one)):
                for kind, parts, inner in self._candidates(new, state):
                    gates = (update_gate, *parts)
                    same_size = parts[-1].width == update_gate.width
                    if same_size and _consistent(gates[:2]) and gates[2].sources <= gates[0].sources - {state}:
                        nodes = self._nodes(gates, (node.output[0], gate, new, *mixing, *inner))
                        yield RecurrentCell(kind, gates, node.output[0], state, None, nodes)

    def _mixtures(self, node: NodeProto) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
        """Values z, a, b such that the node makes z·a + (1 - z)·b, and the values in between."""
        adds = node.op_type == "Add"
        for products, (z, one), (left, other) in self._two_products(node) if adds else ():
            rest = self._reading.maker(left, "Sub")
            if rest is not None and rest.input[1] == z and self._is_one(rest.input[0]):
                yield z, one, other, (*products, left)
        # b + z·(a - b), or b - z·(b - a)
        for other, step in permutations(node.input) if adds else (tuple(node.input),):
            moved = self._reading.maker(step, "Mul")
            for z, difference in permutations(moved.input) if moved is not None else ():
                gap = self._reading.maker(difference, "Sub")
                if gap is not None and gap.input[1 if adds else 0] == other:
                    yield z, gap.input[0 if adds else 1], other, (step, difference)

    def _candidates(self, new: str, state: str) -> Iterator[tuple[CellKind, tuple[Affine, ...], tuple[str, ...]]]:
        """Reset gate and new state (from the input, from the old state) of a GRU, and the values in between."""
        total = self._gate(new, "Tanh", bare=1)
        if total is None:
            return
        for reset_state in total.bare or dict.fromkeys(name for name, _ in total.terms):
            product = self._reading.maker(reset_state, "Mul")
            for gate, inside in permutations(product.input) if product is not None else ():
                reset = self._gate(gate, "Sigmoid")
                if reset is None:
                    continue
                if total.bare:
                    kind, recurrent = CellKind("GRU", linear_before_reset=True), self._linear(inside, total.width)
                    given = total._replace(bare=())
                else:
                    kind = CellKind("GRU")
                    terms = tuple((state, view) for name, view in total.terms if name == reset_state)
                    recurrent = total._replace(terms=terms, biases=()) if inside == state else None
                    given = total._replace(terms=tuple(term for term in total.terms if term[0] != reset_state))
                if recurrent is not None and recurrent.sources <= {state}:
                    yield kind, (reset, given, recurrent), (gate, reset_state)

    def _linear(self, value: str, width: int) -> Affine | None:
        """A sum without bare values; or a constant, as which a product with a constant state is stored."""
        if value in self._reading.constants:
            known = self._reading.is_float(value) and self._reading.constants[value].dims[-1:] == [width]
            return Affine(width, (), (Bias(value, (0, width), 1.0),), (), frozenset()) if known else None
        found = self.affines.get(value)
        return found if found is not None and not found.bare and found.width == width else None

    def _rnn(self, node: NodeProto) -> Iterator[RecurrentCell]:
        gate = self._gate(node.output[0], node.op_type)
        if gate is not None:
            nodes = self._nodes((gate,), (node.output[0],))
            yield RecurrentCell(CellKind("RNN", node.op_type), (gate,), node.output[0], None, None, nodes)

    def _gate(self, value: str, activation: str, bare: int = 0) -> Affine | None:
        """The sum before an activation, with at most so many bare values."""
        node = self._reading.maker(value, activation)
        found = self.affines.get(node.input[0]) if node is not None else None
        return found if found is not None and len(found.bare) <= bare else None

    def _is_one(self, value: str) -> bool:
        return self._reading.is_float(value) and bool((self._reading.array(value) == 1).all())

    def _nodes(self, gates: tuple[Affine, ...], values: tuple[str, ...]) -> frozenset[int]:
        own = frozenset(self._reading.graph.producer[value] for value in values)
        return own.union(*(gate.nodes for gate in gates))


def _consistent(gates: tuple[Affine, ...]) -> bool:
    """Whether all gates have the same inputs and size."""
    return all(gate.sources == gates[0].sources and gate.width == gates[0].width for gate in gates)
