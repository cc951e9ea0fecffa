"""Which inputs decide by their values how much a run does: how often a Loop goes round, how large a tensor becomes.

Two sets go along with each value from its producer to its consumers: the inputs that its elements depend on, and those
that its shape depends on by their values. Shape and Size turn the second into the first; everything else mixes.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import onnx

from chrion_graph.bodies import bodies, captured

Inputs = frozenset[str]
_NONE: Inputs = frozenset()


class _Taint(NamedTuple):
    """Inputs of the model that a value depends on."""

    values: Inputs = _NONE
    """Through its elements."""
    shape: Inputs = _NONE
    """Through its shape, by their values: shapes that follow shapes are not meant."""


ALL = -1
"""Every operand."""

OPERANDS: Mapping[str, tuple[int, ...]] = {
    "AffineGrid": (1,),
    "BeamSearch": (ALL,),
    "BlackmanWindow": (0,),
    "CenterCropPad": (1,),
    "Compress": (1,),
    "ConstantOfShape": (0,),
    "DFT": (1,),
    "Expand": (1,),
    "GRU": (4,),
    "GreedySearch": (ALL,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "If": (0,),
    "LSTM": (4,),
    "Loop": (0, 1),
    "MelWeightMatrix": (0, 1),
    "NonMaxSuppression": (ALL,),
    "NonZero": (0,),
    "OneHot": (1,),
    "Pad": (1, 3),
    "RNN": (4,),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (2, 3),
    "STFT": (1, 3),
    "Sampling": (ALL,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "SplitToSequence": (1,),
    "StringSplit": (0,),
    "Tile": (1,),
    "TopK": (1,),
    "Unique": (0,),
    "Upsample": (1,),
    "WhisperBeamSearch": (ALL,),
}
"""For each operator of which it is so, the operands whose values decide its work or the shape of what it makes."""


def deciding_inputs(graph: onnx.GraphProto) -> Inputs:
    """The inputs of a model's graph whose values, not only their shapes, decide how much work a run is."""
    return _follow(graph, _given(graph))


def inputs_behind(graph: onnx.GraphProto, names: Iterable[str]) -> dict[str, Inputs]:
    """For values of a model's graph the inputs on whose values, not only whose shapes, they depend."""
    known = _given(graph)
    _follow(graph, known)
    return {name: known.get(name, _Taint()).values for name in names}


def _given(graph: onnx.GraphProto) -> dict[str, _Taint]:
    stored = {tensor.name for tensor in graph.initializer}
    return {value.name: _Taint(values=frozenset({value.name})) for value in graph.input if value.name not in stored}


def _follow(graph: onnx.GraphProto, known: dict[str, _Taint]) -> Inputs:
    """What decides the work of a graph; `known` is told of all its values."""
    found: set[str] = set()
    for node in graph.node:
        operands = [known.get(name, _Taint()) for name in node.input]
        parts = list(bodies(node))
        from_outside = [known[name] for part in parts for name in captured(part) if name in known]
        mixed = _Taint(
            _union(taint.values | taint.shape for taint in (*operands, *from_outside)),
            _union(taint.shape for taint in (*operands, *from_outside)),
        )
        decides = _decides(node, operands)
        for part in parts:
            inner = dict(known)
            inner.update((value.name, mixed) for value in part.input)
            if node.op_type == "Loop":
                # The round's number, and whether to go on, are the Loop's own.
                inner.update(zip([value.name for value in part.input[:2]], operands, strict=False))
            decides |= _follow(part, inner)
            if node.op_type == "Loop" and part.output:
                decides |= inner.get(part.output[0].name, _Taint()).values
        found |= decides
        values = mixed.shape if node.op_type in ("Shape", "Size") else mixed.values | decides
        made = _Taint(values, mixed.shape | decides)
        known.update((name, made) for name in node.output if name)
    return frozenset(found)


def _decides(node: onnx.NodeProto, operands: list[_Taint]) -> Inputs:
    places = OPERANDS.get(node.op_type, ())
    if places == (ALL,):
        return _union(taint.values for taint in operands)
    return _union(operands[place].values for place in places if place < len(operands))


def _union(sets: Iterable[Inputs]) -> Inputs:
    found = _NONE
    for one in sets:
        if not one <= found:
            found |= one
    return found
