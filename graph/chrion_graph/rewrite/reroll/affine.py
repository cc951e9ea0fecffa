"""What stands before a gate's activation, as a sum of inputs times parts of weights, plus parts of biases.

However an exporter writes it: Gemm or MatMul and Add, one product for all gates or one each, inputs side by side or
apart, gates taken out by Split or Slice.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from onnx import NodeProto

from chrion_graph.attributes import integer, real
from chrion_graph.rewrite.reroll.parts import Bias, Range, View
from chrion_graph.rewrite.support.reading import Reading

_MOST_TERMS = 16
"""A longer sum is no gate; the bound keeps reading linear where sums are chained."""
_MOST_NESTED = 4
"""Concat nodes inside one another that are looked through."""


class Affine(NamedTuple):
    """A value of shape [batch, width] that is a sum."""

    width: int
    terms: tuple[tuple[str, View], ...]
    """Each input with its weights."""
    biases: tuple[Bias, ...]
    bare: tuple[str, ...]
    """Values that are added as they are."""
    nodes: frozenset[int]
    """The nodes that compute it."""

    def scaled(self, scale: float) -> "Affine":
        """The same sum times a number; bare values cannot be scaled."""
        if scale == 1:
            return self
        terms = tuple((source, view._replace(scale=view.scale * scale)) for source, view in self.terms)
        return self._replace(terms=terms, biases=tuple(bias._replace(scale=bias.scale * scale) for bias in self.biases))

    def columns(self, start: int, stop: int, node: int) -> "Affine":
        """Some of its columns, which `node` takes out."""
        return Affine(
            stop - start,
            tuple((source, view._replace(columns=_inner(view.columns, start, stop))) for source, view in self.terms),
            tuple(bias._replace(columns=_inner(bias.columns, start, stop)) for bias in self.biases),
            (),
            self.nodes | {node},
        )

    @property
    def length(self) -> int:
        """The number of its summands."""
        return len(self.terms) + len(self.biases) + len(self.bare)

    @property
    def sources(self) -> set[str]:
        """The inputs that are multiplied with weights."""
        return {source for source, _ in self.terms}


def affines(reading: Reading) -> dict[str, Affine]:
    """Every value of the graph that is a sum with at least one weighted input."""
    found: dict[str, Affine] = {}
    for index, node in enumerate(reading.graph.nodes):
        rule = _RULES.get(node.op_type)
        if rule is not None and node.domain in ("", "ai.onnx"):
            sums = rule(reading, found, index, node)
            found.update((name, each) for name, each in sums if each.length <= _MOST_TERMS)
    return found


Sums = dict[str, Affine]
Results = Iterator[tuple[str, Affine]]


def _gemm(reading: Reading, found: Sums, index: int, node: NodeProto) -> Results:
    if integer(node, "transA", 0):
        return
    transposed, scale = bool(integer(node, "transB", 0)), real(node, "alpha", 1.0)
    product = _product(reading, index, node, transposed, scale)
    if product is None:
        return
    if len(node.input) > 2 and node.input[2]:
        beta = real(node, "beta", 1.0)
        added = _summand(reading, found, node.input[2], product.width)
        if added is None or (added.bare and beta != 1):
            return
        product = _sum(product, added.scaled(beta), index)
    yield node.output[0], product


def _matmul(reading: Reading, found: Sums, index: int, node: NodeProto) -> Results:
    del found
    shape = reading.shape(node.input[0])
    product = _product(reading, index, node, False, 1.0) if shape is not None and len(shape) == 2 else None
    if product is not None:
        yield node.output[0], product


def _add(reading: Reading, found: Sums, index: int, node: NodeProto) -> Results:
    known = next((found[name] for name in node.input if name in found), None)
    if known is None:
        return
    one, other = (_summand(reading, found, name, known.width) for name in node.input)
    if one is not None and other is not None:
        yield node.output[0], _sum(one, other, index)


def _split(reading: Reading, found: Sums, index: int, node: NodeProto) -> Results:
    whole = found.get(node.input[0])
    if whole is not None and not whole.bare and integer(node, "axis", 0) in (1, -1):
        for name, start, stop in reading.parts(node, whole.width):
            if name:
                yield name, whole.columns(start, stop, index)


def _slice(reading: Reading, found: Sums, index: int, node: NodeProto) -> Results:
    whole = found.get(node.input[0])
    taken = reading.slice(node, whole.width) if whole is not None and not whole.bare else None
    if whole is not None and taken is not None and taken[0] in (1, -1):
        yield node.output[0], whole.columns(taken[1], taken[2], index)


_RULES: dict[str, Callable[[Reading, Sums, int, NodeProto], Results]] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Add": _add,
    "Split": _split,
    "Slice": _slice,
}


def _product(reading: Reading, index: int, node: NodeProto, transposed: bool, scale: float) -> Affine | None:
    """An input, or several side by side, times a constant weight."""
    value, weight = node.input[:2]
    if value in reading.constants or not reading.is_float(weight):
        return None
    dims = tuple(reading.constants[weight].dims)
    if len(dims) != 2:
        return None
    height, width = reversed(dims) if transposed else dims
    nodes = {index}
    parts = _side_by_side(reading, value, nodes, _MOST_NESTED)
    sizes = [_features(reading, part) for part in parts]
    known = [size for size in sizes if size is not None]
    # Parts whose sizes are not known stay one input.
    if len(parts) == 1 or len(known) < len(parts) or sum(known) != height:
        parts, known, nodes = [value], [height], {index}
    terms, start = [], 0
    for part, size in zip(parts, known, strict=True):
        terms.append((part, View(weight, (start, start + size), (0, width), transposed, scale)))
        start += size
    return Affine(width, tuple(terms), (), (), frozenset(nodes))


def _side_by_side(reading: Reading, value: str, nodes: set[int], depth: int) -> list[str]:
    """What a value is put together from along its second axis; adds the nodes that do so."""
    node = reading.maker(value, "Concat") if depth else None
    if node is None or integer(node, "axis", 0) not in (1, -1):
        return [value]
    nodes.add(reading.graph.producer[value])
    return [part for name in node.input for part in _side_by_side(reading, name, nodes, depth - 1)]


def _features(reading: Reading, value: str) -> int | None:
    shape = reading.shape(value)
    size = shape[1] if shape is not None and len(shape) == 2 else None
    return size if isinstance(size, int) else None


def _summand(reading: Reading, found: Sums, name: str, width: int) -> Affine | None:
    """What one side of an addition adds to a sum of this width; None where it would change its shape."""
    shape = reading.shape(name)
    if name in found:
        return found[name] if found[name].width == width else None
    if name in reading.constants:
        if shape is None or len(shape) > 2 or (shape and shape[-1] not in (1, width)) or not reading.is_float(name):
            return None
        return Affine(width, (), (Bias(name, (0, width), 1.0),), (), frozenset())
    if shape is not None and (len(shape) != 2 or (isinstance(shape[1], int) and shape[1] != width)):
        return None
    return Affine(width, (), (), (name,), frozenset())


def _sum(one: Affine, other: Affine, node: int) -> Affine:
    return Affine(
        one.width,
        one.terms + other.terms,
        one.biases + other.biases,
        one.bare + other.bare,
        one.nodes | other.nodes | {node},
    )


def _inner(outer: Range, start: int, stop: int) -> Range:
    return outer[0] + start, outer[0] + stop
