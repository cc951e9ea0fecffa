"""Write one product in the place of many."""

from collections.abc import Sequence
from typing import Any

from onnx import NodeProto, helper

from chrion_graph.attributes import integer
from chrion_graph.graph import Graph
from chrion_graph.rewrite.hoist.groups import Group
from chrion_graph.rewrite.support.emitter import Emitter
from chrion_graph.rewrite.support.reading import Reading
from chrion_graph.rewrite.support.rebuild import rebuilt
from chrion_graph.rewrite.support.sequences import StepSequences


def hoisted(reading: Reading, groups: Sequence[Group]) -> Graph:
    """The graph with one product for each group."""
    emitter = Emitter(reading, "hoist")
    sequences = StepSequences(reading, emitter)
    gone = {node for group in groups for product in group for node in product.nodes}
    for group in groups:
        _write(reading, emitter, sequences, group)
    kept = [node for index, node in enumerate(reading.graph.nodes) if index not in gone]
    return rebuilt(reading.graph, (*kept, *emitter.nodes), emitter.tensors, emitter.infos)


def _write(reading: Reading, emitter: Emitter, sequences: StepSequences, group: Group) -> None:
    """All values in rows below one another, their product, and its parts under the names that they have."""
    values = [product.value for product in group]
    outputs = [product.output for product in group]
    if sequences.backward([[value] for value in values]):
        values, outputs = values[::-1], outputs[::-1]
    first, *added = (reading.graph.nodes[index] for index in group[0].nodes)
    height, width = reading.constants[first.input[1]].dims
    if integer(first, "transB", 0):
        height, width = width, height
    batch = emitter.shape(values[0], 2)[0]
    rows = batch * len(values) if isinstance(batch, int) else None
    if sequences.within(values):
        steps = sequences.stacked(values)
        (below,) = emitter.node("Reshape", [steps, emitter.integers(-1, height)], [(rows, height)])
    else:
        (below,) = emitter.node("Concat", values, [(rows, height)], axis=0)
    (whole,) = emitter.node(first.op_type, [below, *first.input[1:]], [(rows, width)], **_attributes(first))
    for node in added:
        bias = next(name for name in node.input if name in reading.constants)
        (whole,) = emitter.node("Add", [whole, bias], [(rows, width)])
    attributes: dict[str, Any] = {"num_outputs": len(outputs)} if reading.graph.opset >= 18 else {}
    emitter.nodes.append(helper.make_node("Split", [whole], outputs, axis=0, **attributes))


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
