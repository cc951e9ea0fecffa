"""Put a graph together again after some of its nodes were replaced."""

import heapq
from collections.abc import Collection, Iterable, Sequence

import onnx
from onnx import NodeProto, TensorProto

from chrion_graph.bodies import node_reads
from chrion_graph.graph import Graph
from chrion_graph.recurrent import RECURRENT
from chrion_graph.rewrite.support.emitter import Emitter


def rebuilt(
    graph: Graph,
    nodes: Iterable[NodeProto],
    tensors: Iterable[TensorProto] = (),
    infos: Iterable[onnx.ValueInfoProto] = (),
) -> Graph:
    """The graph with these nodes in place of its own, and constants and types beside those it has.

    Nodes come in the topological order that is nearest to the given one. What nobody reads is left out.
    """
    order = needed(list(nodes), graph.outputs)
    read = {name for node in order for name in node_reads(node)} | graph.outputs.keys()
    made = {name for node in order for name in node.output}
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    target = model.graph
    for field in (target.node, target.initializer, target.value_info):
        del field[:]
    target.node.extend(order)
    target.initializer.extend(each for each in (*graph.model.graph.initializer, *tensors) if each.name in read)
    target.value_info.extend(each for each in (*graph.model.graph.value_info, *infos) if each.name in made)
    return Graph(model, graph.folder)


def needed(nodes: Sequence[NodeProto], outputs: Iterable[str]) -> list[NodeProto]:
    """The nodes that the outputs need, each after those it reads."""
    maker = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    needs: dict[int, set[int]] = {}
    wanted = [maker[name] for name in outputs if name in maker]
    while wanted:
        index = wanted.pop()
        if index not in needs:
            needs[index] = {maker[name] for name in node_reads(nodes[index]) if name in maker}
            wanted.extend(needs[index])
    readers: dict[int, list[int]] = {index: [] for index in needs}
    for index, sources in needs.items():
        for source in sources:
            readers[source].append(index)
    missing = {index: len(sources) for index, sources in needs.items()}
    ready = [index for index, count in missing.items() if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        index = heapq.heappop(ready)
        order.append(nodes[index])
        for reader in readers[index]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, reader)
    return order


def with_layers(
    graph: Graph, replaced: Collection[int], emitter: Emitter, tensors: Iterable[onnx.TensorProto] = ()
) -> Graph:
    """The graph with what the emitter made in place of some nodes."""
    kept = [node for index, node in enumerate(graph.nodes) if index not in replaced]
    nodes = needed([*kept, *emitter.nodes], graph.outputs)
    read = {name for node in nodes for name in node_reads(node)} | graph.outputs.keys()
    for node in emitter.nodes:
        _without_unread_outputs(node, read)
    return rebuilt(graph, nodes, (*emitter.tensors, *tensors), emitter.infos)


def _without_unread_outputs(node: NodeProto, read: set[str]) -> None:
    """Drop the names of a recurrent node's optional outputs that nothing reads, so that they are not computed."""
    if node.op_type in RECURRENT:
        names = [name if name in read else "" for name in node.output]
        while names and not names[-1]:
            names.pop()
        del node.output[:]
        node.output.extend(names)
