"""Find products with the same weights that do not need one another."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import networkx as nx
from onnx import NodeProto, TensorProto

from chrion_graph.attributes import integer
from chrion_graph.rewrite.support.reading import Reading

FEWEST = 3
"""Products that are worth putting together."""
SMALLEST = 4096
"""Weights, by number, of a product that is worth it: reading fewer again costs less than what is saved."""
MOST_GROUPS = 1024
"""Groups that are looked at, those with most work first; the bound keeps the search linear."""

_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)


@dataclass(frozen=True)
class Product:
    """A value of shape [batch, features] times a weight [features, width], and a bias added to it."""

    nodes: tuple[int, ...]
    """The MatMul or Gemm, and the Add of a bias if there is one."""
    value: str
    output: str


Group = tuple[Product, ...]
"""Products that differ in the values they read alone, in the order of the graph."""


def find_groups(reading: Reading) -> list[Group]:
    """All groups that can each be one product at the same time, in the order of their first nodes."""
    alike: dict[object, list[Product]] = defaultdict(list)
    for index, node in enumerate(reading.graph.nodes):
        for key, product in _product(reading, index, node):
            alike[key].append(product)
    many = [tuple(products) for products in alike.values() if len(products) >= FEWEST]
    many.sort(key=lambda group: (-len(group) * _size(reading, group), group[0].nodes[0]))
    groups = [group for group in _independent(reading, many[:MOST_GROUPS]) if len(group) >= FEWEST]
    return sorted(_without_cycles(reading, groups), key=lambda group: group[0].nodes[0])


def _product(reading: Reading, index: int, node: NodeProto) -> Iterator[tuple[object, Product]]:
    if node.op_type not in ("MatMul", "Gemm") or node.domain not in ("", "ai.onnx") or integer(node, "transA", 0):
        return
    value, weight = node.input[:2]
    known, shape = reading.constants.get(weight), reading.shape(value)
    if known is None or value in reading.constants or known.data_type not in _FLOATS or len(known.dims) != 2:
        return
    # All parts must be of one size, known or named.
    if shape is None or len(shape) != 2 or shape[0] is None or prod(known.dims) < SMALLEST:
        return
    bias = node.input[2] if len(node.input) > 2 else ""
    if bias and not _one_row(reading, bias):
        return
    nodes: tuple[int, ...] = (index,)
    output = node.output[0]
    readers = reading.graph.consumers.get(output, ())
    if len(readers) == 1 and output not in reading.graph.outputs:
        after = reading.graph.nodes[readers[0]]
        added = [name for name in after.input if name != output and _one_row(reading, name, known.dims[1])]
        if node.op_type == "MatMul" and after.op_type == "Add" and after.domain in ("", "ai.onnx") and added:
            nodes, output, bias = (index, readers[0]), after.output[0], added[0]
    attributes = tuple(sorted(entry.SerializeToString(deterministic=True) for entry in node.attribute))
    yield (node.op_type, weight, bias, attributes, shape[0]), Product(nodes, value, output)


def _one_row(reading: Reading, bias: str, width: int = 0) -> bool:
    """Whether a bias is a constant that is added to every row alike, and widens none."""
    dims = reading.constants[bias].dims if bias in reading.constants else None
    return (
        dims is not None
        and len(dims) <= 2
        and prod(dims[:-1]) == 1
        and (not dims or dims[-1] in (1, width or dims[-1]))
    )


def _size(reading: Reading, group: Group) -> int:
    return prod(reading.constants[reading.graph.nodes[group[0].nodes[0]].input[1]].dims)


def _independent(reading: Reading, groups: Sequence[Group]) -> Iterator[Group]:
    """Of each group the products that need no other of it."""
    graph = reading.graph
    group_of = {product.nodes[0]: number for number, group in enumerate(groups) for product in group}
    behind: list[int] = []
    """For each node the groups of which it needs a product, as bits."""
    first: list[list[Product]] = [[] for _ in groups]
    products = {product.nodes[0]: product for group in groups for product in group}
    for index, names in enumerate(graph.reads):
        bits = 0
        for name in names:
            bits |= behind[graph.producer[name]] if name in graph.producer else 0
        number = group_of.get(index)
        if number is not None:
            if not bits >> number & 1:
                first[number].append(products[index])
            bits |= 1 << number
        behind.append(bits)
    return (tuple(group) for group in first)


def _without_cycles(reading: Reading, groups: Sequence[Group]) -> Iterator[Group]:
    """Of groups that need one another the one with most work, so that each can be one node.

    One that is left is in no cycle: leaving out others makes none.
    """
    graph = reading.graph
    member = {node: -1 - number for number, group in enumerate(groups) for product in group for node in product.nodes}
    dag: nx.DiGraph[int] = nx.DiGraph()
    for index, names in enumerate(graph.reads):
        target = member.get(index, index)
        sources = {member.get(graph.producer[name], graph.producer[name]) for name in names if name in graph.producer}
        dag.add_edges_from((source, target) for source in sources if source != target)
    tangled: set[int] = set()
    for part in nx.strongly_connected_components(dag):
        # Groups come with most work first.
        tangled.update(sorted(-1 - node for node in part if node < 0)[1:])
    return (group for number, group in enumerate(groups) if number not in tangled)
