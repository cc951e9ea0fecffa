"""Put one recurrent node in the place of each chain of nodes of one step."""

from typing import Any

from onnx import NodeProto, helper

from chrion_graph.attributes import integer
from chrion_graph.graph import Graph
from chrion_graph.rewrite.join_steps.steps import NodeChain, NodeChains
from chrion_graph.rewrite.support.emitter import Emitter
from chrion_graph.rewrite.support.reading import Reading
from chrion_graph.rewrite.support.rebuild import with_layers
from chrion_graph.rewrite.support.sequences import Origin, StepSequences


def joined(reading: Reading, found: NodeChains) -> Graph:
    """The graph with one node for each chain."""
    joining = _Joining(reading, found)
    for chain in found.chains:
        joining.layer(chain)
    for index, node in enumerate(reading.graph.nodes):
        if node.op_type == "Concat" and node.domain in ("", "ai.onnx"):
            joining.stack(index, node)
    return with_layers(reading.graph, joining.replaced, joining.emitter)


class _Joining:
    def __init__(self, reading: Reading, found: NodeChains) -> None:
        self.emitter = Emitter(reading, "join-steps")
        self.replaced: set[int] = set()
        self._reading, self._made = reading, found.made
        self._sequences = StepSequences(reading, self.emitter)
        self._steps: dict[int, str] = {}
        """For each node in a chain its hidden state, [batch, hidden]."""

    def layer(self, chain: NodeChain) -> None:
        """Add a chain's node, and what takes the states of single steps out of it."""
        nodes = [self._reading.graph.nodes[index] for index in chain.order]
        values = [self._two_axes(name) for name in chain.inputs]
        backward = self._sequences.backward([[value] for value in values])
        sequence = self._sequences.stacked(values[::-1] if backward else values)
        attributes: dict[str, Any] = {entry.name: helper.get_attribute_value(entry) for entry in nodes[0].attribute}
        attributes["direction"] = "reverse" if backward else "forward"
        shape = (len(nodes), 1, self.emitter.shape(sequence, 3)[1], integer(nodes[0], "hidden_size", 0))
        inputs = [sequence, *nodes[0].input[1:]]
        (every,) = self.emitter.node(nodes[0].op_type, inputs, [shape], **attributes)
        # Its final states are those of the last step.
        self.emitter.nodes[-1].output.extend(nodes[-1].output[1:])
        hidden = self.emitter.squeeze(every, 1)
        for step, (index, node) in enumerate(zip(chain.order, nodes, strict=True)):
            at = len(nodes) - 1 - step if backward else step
            self._steps[index] = self.emitter.entry(hidden, at)
            origins = [Origin(hidden, 0, at, len(nodes))]
            names = list(node.output[:2])
            if node is nodes[-1]:
                origins += [Origin(name, 0, 0, 1) for name in names[1:] if name]
                del names[1:]
            self._sequences.add(self._steps[index], *origins)
            for name, whole in zip(names, (every, hidden), strict=False):
                if name:
                    self.emitter.slice(whole, 0, at, 1, 1, name)
        self.replaced |= chain.nodes

    def _two_axes(self, value: str) -> str:
        """What a step reads, as [batch, features]."""
        letter, index = self._made.get(value, ("", -1))
        if letter == "h" and index in self._steps:
            return self._steps[index]
        node = self._reading.maker(value, "Unsqueeze")
        if node is not None and self._reading.axis(node, 1) in (0, -3):
            return str(node.input[0])
        inside, part = self.emitter.squeeze(value, 0), self._sequences.part(value, 0)
        self._sequences.add(inside, *([part] if part else []), Origin(value, 0, 0, 1))
        return inside

    def stack(self, index: int, node: NodeProto) -> None:
        """Take what a Concat puts together of single hidden states from the sequences that hold them already."""
        made = [self._made.get(name, ("", -1)) for name in node.input]
        shapes = [self._reading.shape(name) or () for name in node.input]
        axes, axis = len(shapes[0]), integer(node, "axis", 0)
        axis += axes if axis < 0 else 0
        if not all(letter == "h" and source in self._steps for letter, source in made) or any(
            len(shape) != axes or axis >= axes or shape[axis] != 1 for shape in shapes
        ):
            return
        values = [self._steps[source] for _, source in made]
        if axes == 3 and axis < 2:
            self._sequences.stacked(values, node.output[0], batch_first=axis == 1)
        elif axes == 4 and axis == 0 and all(shape[1] == 1 for shape in shapes):
            self.emitter.unsqueeze(self._sequences.stacked(values), 1, node.output[0])
        else:
            return
        self.replaced.add(index)
