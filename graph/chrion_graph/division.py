"""Guard what ends a process: the least integer divided by -1, whose result there is no number for.

ONNX Runtime leaves it to the processor, and x86 answers with SIGFPE. Here the divisor is then 1, which gives what
two's complement wraps around to, as numpy has it: the least integer again, and 0 for the remainder. Every other result
is as it was.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from chrion_graph.bodies import bodies

_TYPES: dict[int, np.dtype[Any]] = {TensorProto.INT32: np.dtype(np.int32), TensorProto.INT64: np.dtype(np.int64)}
"""Narrower integers are divided as 32 bits, and have no such result."""
_LEAST_OPSET = 9
"""The first with Where."""


def guard_divisions(model: onnx.ModelProto) -> bool:
    """Guard the integer divisions of a model whose values have types, also in its bodies; whether there were any."""
    opset = max((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), default=0)
    if opset < _LEAST_OPSET or not any(_divisions(model.graph)):
        return False
    # Bodies have types only now.
    typed = onnx.shape_inference.infer_shapes(model)
    guard = _DivisionGuard(model.graph)
    guard.graph(model.graph, typed.graph, {})
    model.graph.initializer.extend(guard.constants.values())
    return guard.count > 0


def _divisions(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        if node.op_type in ("Div", "Mod") and node.domain in ("", "ai.onnx"):
            yield node
        for body in bodies(node):
            yield from _divisions(body)


class _DivisionGuard:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self.count = 0
        self.constants: dict[str, onnx.TensorProto] = {}
        self._taken = {name for node in graph.node for name in (*node.input, *node.output)}

    def graph(self, graph: onnx.GraphProto, typed: onnx.GraphProto, outer: dict[str, int]) -> None:
        """Guard one graph; `typed` is the same with the types of its values, `outer` those of values around it."""
        types = outer | _types(typed)
        stored = {tensor.name: tensor for tensor in graph.initializer}
        nodes = []
        for node, other in zip(graph.node, typed.node, strict=True):
            for body, typed_body in zip(bodies(node), bodies(other), strict=True):
                self.graph(body, typed_body, types)
            if node.op_type in ("Div", "Mod") and node.domain in ("", "ai.onnx"):
                kind = _TYPES.get(types.get(node.input[0], 0))
                if kind is not None and not _harmless(stored.get(node.input[1])):
                    nodes += self._safe(node, kind)
            nodes.append(node)
        kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(kept)

    def _safe(self, node: onnx.NodeProto, kind: np.dtype[Any]) -> list[onnx.NodeProto]:
        """Nodes that make a divisor with which the division cannot overflow; `node` takes it."""
        dividend, divisor = node.input
        least = self._constant(f"least_{kind}", np.iinfo(kind).min, kind)
        minus, one = self._constant(f"minus_{kind}", -1, kind), self._constant(f"one_{kind}", 1, kind)
        names = [self._name(f"{self.count}_{part}") for part in ("least", "minus", "both", "divisor")]
        self.count += 1
        node.input[1] = names[3]
        return [
            helper.make_node("Equal", [dividend, least], [names[0]]),
            helper.make_node("Equal", [divisor, minus], [names[1]]),
            helper.make_node("And", names[:2], [names[2]]),
            helper.make_node("Where", [names[2], one, divisor], [names[3]]),
        ]

    def _constant(self, name: str, value: int, kind: np.dtype[Any]) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.array(value, kind), self._name(name))
        return self.constants[name].name

    def _name(self, text: str) -> str:
        name = f"guard/{text}"
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def _types(graph: onnx.GraphProto) -> dict[str, int]:
    values = (*graph.value_info, *graph.input, *graph.output)
    found = {value.name: value.type.tensor_type.elem_type for value in values}
    return found | {tensor.name: tensor.data_type for tensor in graph.initializer}


def _harmless(divisor: onnx.TensorProto | None) -> bool:
    """Whether it is known, and has no -1."""
    if divisor is None or divisor.data_location == TensorProto.EXTERNAL:
        return False
    return not bool((numpy_helper.to_array(divisor) == -1).any())
