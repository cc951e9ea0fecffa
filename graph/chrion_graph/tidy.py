"""Tidy a graph that ONNX Runtime has written, so that every node can be a stage."""

from collections.abc import Sequence
from typing import Any

import networkx as nx
import onnx

from chrion_graph.bodies import all_bodies, node_reads


def tidy(graph: onnx.GraphProto) -> None:
    """Inputs without a value, constants apart from outputs, nodes that someone reads, in topological order."""
    constants = {tensor.name for tensor in graph.initializer}
    _replace(graph.input, [value for value in graph.input if value.name not in constants])
    _drop_doubled(graph)
    _copy_constants(graph)
    _sort(graph)
    _drop_unread(graph)


def _drop_doubled(graph: onnx.GraphProto) -> None:
    """Leave out Constant nodes in nested bodies that are there as initializers too.

    ONNX Runtime 1.31 writes both when it saves with external data, and refuses to load what it wrote.
    """
    for body in (body for node in graph.node for body in all_bodies(node)):
        stored = {tensor.name for tensor in body.initializer}
        _replace(body.node, [n for n in body.node if n.op_type != "Constant" or n.output[0] not in stored])


def _copy_constants(graph: onnx.GraphProto) -> None:
    """Make every output of the graph that is a constant itself the output of a node."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for output in [value.name for value in graph.output if value.name in constants]:
        constants[output].name = renamed = f"{output}/constant"
        for node in graph.node:
            node.input[:] = [renamed if name == output else name for name in node.input]
        graph.node.insert(0, onnx.helper.make_node("Identity", [renamed], [output]))


def _sort(graph: onnx.GraphProto) -> None:
    """Bring the nodes into the topological order that is nearest to the one they have."""
    producer = {name: index for index, node in enumerate(graph.node) for name in node.output}
    dag: nx.DiGraph[int] = nx.DiGraph()
    dag.add_nodes_from(range(len(graph.node)))
    for index, node in enumerate(graph.node):
        dag.add_edges_from((producer[name], index) for name in node_reads(node) if name in producer)
    _replace(graph.node, [graph.node[index] for index in nx.lexicographical_topological_sort(dag)])


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Leave out nodes whose outputs nobody reads: a stage of them would have nothing to give."""
    read = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if not read.isdisjoint(node.output):
            kept.append(node)
            read.update(node_reads(node))
    _replace(graph.node, kept[::-1])


def _replace(field: Any, items: Sequence[Any]) -> None:
    """Have a repeated field hold these of its items."""
    kept = [type(item).FromString(item.SerializeToString()) for item in items]
    del field[:]
    field.extend(kept)
