"""The limit that a model's latency is held against, and how near a plan comes to it.

The limit is the larger of two times. One is the one-thread time of ONNX Runtime, divided by the cores: no plan that
does the same work can be faster. The other is the time to read the model's weights from memory once: what a run cannot
avoid where they do not fit into the caches. A rewrite may save work, and weights may stay in a cache, so a plan can go
below the limit; its share of the gap is then above 1.
"""

from collections.abc import Iterable, Mapping

import onnx

from chrion_graph.bodies import bodies, captured
from chrion_graph.graph import Graph, Shapes
from chrion_graph.types import tensor_bytes

_LEAST_GAP = 0.02
"""A default session within this part of the limit counts as being there: the share of nothing is noise."""


def limit_seconds(one_thread: float, cores: int, weights: int, bytes_per_second: float) -> float:
    """The limit for a model that takes `one_thread` seconds on one core and touches `weights` bytes of constants."""
    return max(one_thread / cores, weights / bytes_per_second)


def gap_closed(default: float, plan: float, limit: float) -> float | None:
    """The share of the way from the default's time to the limit that the plan has gone; None where there is no way."""
    return (default - plan) / (default - limit) if default > limit * (1 + _LEAST_GAP) else None


def family_gap_closed(times: Iterable[tuple[float, float, float]]) -> float | None:
    """The share for several models, given (default, plan, limit) of each: of all that could be saved, what was.

    Savings are parts of each model's default time, so that large and small models weigh alike; models whose default
    is at the limit have nothing to save and do not count.
    """
    found = [
        (1 - plan / default, 1 - limit / default)
        for default, plan, limit in times
        if gap_closed(default, plan, limit) is not None
    ]
    possible = sum(gap for _, gap in found)
    return sum(saved for saved, _ in found) / possible if possible else None


def weights_touched(graph: Graph, shapes: Shapes) -> int:
    """Bytes of constants that one run reads, each constant once however often it is read.

    Of a table that a Gather looks rows up in, only the rows count; of an If, the branch that reads more.
    """
    read: dict[str, int] = {}
    inner = 0
    for node in graph.nodes:
        for name in node.input:
            if name in graph.constants:
                nbytes = _bytes(graph.constants[name])
                if node.op_type == "Gather" and name == node.input[0]:
                    nbytes = min(nbytes, graph.value_bytes(node.output[0], shapes) or nbytes)
                read[name] = max(read.get(name, 0), nbytes)
        inner += _in_bodies(node, graph.constants)
    return sum(read.values()) + inner


def _in_bodies(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> int:
    found = []
    for body in bodies(node):
        own = sum(_bytes(tensor) for tensor in body.initializer)
        outer = sum(_bytes(constants[name]) for name in set(captured(body)) if name in constants)
        found.append(own + outer + sum(_in_bodies(inner, {}) for inner in body.node))
    return max(found, default=0) if node.op_type == "If" else sum(found)


def _bytes(tensor: onnx.TensorProto) -> int:
    return tensor_bytes(tensor.data_type, tuple(tensor.dims))
