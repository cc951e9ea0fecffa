"""Put one recurrent node in the place of each chain of cells, and leave out what nobody reads any more."""

from collections.abc import Sequence

import numpy as np

from chrion_graph.attributes import integer
from chrion_graph.graph import Graph
from chrion_graph.rewrite.reroll.chains import Chain
from chrion_graph.rewrite.reroll.weights import Weights
from chrion_graph.rewrite.support.emitter import Emitter
from chrion_graph.rewrite.support.reading import Reading
from chrion_graph.rewrite.support.rebuild import with_layers
from chrion_graph.rewrite.support.sequences import Origin, StepSequences


def rolled(reading: Reading, chains: Sequence[Chain]) -> Graph:
    """The graph with a layer for each chain; the chains come in an order in which layers can run."""
    rolling = _Rolling(reading)
    for chain in chains:
        rolling.layer(chain)
    rolling.stacks()
    return rolling.finished()


class _Rolling:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._emitter = Emitter(reading, "re-roll")
        self._sequences = StepSequences(reading, self._emitter)
        self._weights = Weights(reading)
        self._replaced: set[int] = set()

    def layer(self, chain: Chain) -> None:
        """Add a chain's recurrent node, and what takes its states out of it."""
        kind, hidden, length = chain.pattern.kind, chain.pattern.hidden, len(chain.cells)
        backward = self._sequences.backward(chain.inputs)
        steps = chain.inputs[::-1] if backward else chain.inputs
        parts = [self._sequences.stacked(values) for values in zip(*steps, strict=True)]
        inputs = [
            parts[0] if len(parts) == 1 else self._emitter.concat(parts, 2),
            self._weights.from_input(chain, self._emitter.fresh("W")),
            self._weights.from_state(chain, self._emitter.fresh("R")),
            self._weights.biases(chain, self._emitter.fresh("B")),
            "",
            self._state(chain, chain.first_state),
            self._state(chain, chain.first_memory),
        ]
        while not inputs[-1]:
            inputs.pop()
        attributes: dict[str, object] = {"hidden_size": hidden, "direction": "reverse" if backward else "forward"}
        if kind.op_type == "GRU":
            attributes["linear_before_reset"] = int(kind.linear_before_reset)
        if kind.op_type == "RNN":
            attributes["activations"] = [kind.activation]
        batch = self._emitter.shape(chain.cells[-1].output, 2)[0]
        finals = [(1, batch, hidden)] * (2 if kind.op_type == "LSTM" else 1)
        every, *last = self._emitter.node(kind.op_type, inputs, [(length, 1, batch, hidden), *finals], **attributes)
        self._hand_out(chain, self._emitter.squeeze(every, 1), last, backward)

    def _hand_out(self, chain: Chain, sequence: str, finals: Sequence[str], backward: bool) -> None:
        length = len(chain.cells)
        for step, cell in enumerate(chain.cells):
            index = length - 1 - step if backward else step
            origins = [Origin(sequence, 0, index, length)]
            if step < length - 1:
                self._emitter.entry(sequence, index, cell.output)
            else:
                self._emitter.squeeze(finals[0], 0, cell.output)
                origins.append(Origin(finals[0], 0, 0, 1))
            self._sequences.add(cell.output, *origins)
        memory = chain.cells[-1].memory
        if memory is not None:
            self._emitter.squeeze(finals[1], 0, memory[1])
            self._sequences.add(memory[1], Origin(finals[1], 0, 0, 1))
        self._replaced |= {self._reading.graph.producer[name] for name in chain.writes}

    def _state(self, chain: Chain, value: str | None) -> str:
        """A first state as [1, batch, hidden]; no name where it is zero, as a layer takes it to be."""
        if value is None or self._reading.is_zero(value):
            return ""
        if value not in self._reading.constants:
            return self._sequences.stacked([value])
        values = [name for step in chain.inputs for name in step] + [cell.output for cell in chain.cells]
        batch = max(size for name in values if isinstance(size := self._emitter.shape(name, 2)[0], int))
        array = np.broadcast_to(self._reading.array(value), (1, batch, chain.pattern.hidden))
        return self._weights.add(self._emitter.fresh("state"), array)

    def stacks(self) -> None:
        """Take what was put together of the states of single steps from the sequences that hold them already."""
        for index, node in enumerate(self._reading.graph.nodes):
            if node.op_type != "Concat" or node.domain not in ("", "ai.onnx"):
                continue
            axis = integer(node, "axis", 0)
            axis += 3 if axis < 0 else 0
            values = [self._inside(name, axis) for name in node.input]
            steps = [value for value in values if value is not None]
            if axis < 2 and len(steps) == len(values) and self._sequences.rolled(steps):
                self._sequences.stacked(steps, node.output[0], batch_first=axis == 1)
                self._replaced.add(index)

    def _inside(self, value: str, axis: int) -> str | None:
        """The value of two axes that an Unsqueeze gave this one as its third."""
        node = self._reading.maker(value, "Unsqueeze")
        if node is None or self._reading.axis(node, 1) not in (axis, axis - 3):
            return None
        shape, inside = self._reading.shape(value), node.input[0]
        return inside if len(shape or ()) == 3 or self._sequences.rolled([inside]) else None

    def finished(self) -> Graph:
        """The new graph, without nodes and constants that nobody reads."""
        self._weights.save()
        return with_layers(self._reading.graph, self._replaced, self._emitter, self._weights.tensors)
