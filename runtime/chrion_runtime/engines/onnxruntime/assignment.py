"""Which provider ONNX Runtime gave each node of a session to, and whether it hid work on the CPU that way.

`session.disable_cpu_ep_fallback` refuses a session with any node on the CPU (`InferenceSession::Initialize`). That is
too much: ONNX Runtime itself keeps arithmetic with shapes there, though the provider has its kernels, since shapes are
in the host's memory anyway (`GetCpuPreferredNodes` in core/framework/fallback_cpu_capability.cc). So what it did is
recorded (`session.record_ep_graph_assignment_info`), and nothing but such arithmetic may have stayed.
"""

from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path

import onnx
import onnxruntime as ort
from onnx import TensorProto

from chrion_graph.load import graphs

RECORD = "session.record_ep_graph_assignment_info"
"""The session option, to be "1", without which a session does not know."""

_CPU = "CPUExecutionProvider"
_MAKES_SHAPES = ("Shape", "Size")
_WHOLE = (TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL)
_SMALL = 100
"""Entries that a constant has at most for ONNX Runtime to count it as one of a shape's."""


def fallen_back(session: ort.InferenceSession, path: Path) -> tuple[str, ...]:
    """The operators of the model at `path` that a session leaves to the CPU for want of a kernel, sorted.

    The session must have been made with RECORD.
    """
    given = [
        (part.ep_name, node.op_type)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    ]
    return hidden(onnx.load(path, load_external_data=False), given)


def hidden(model: onnx.ModelProto, given: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Of pairs of provider and operator the operators on the CPU that do no arithmetic with shapes in the model."""
    on_cpu = {operator for provider, operator in given if provider == _CPU}
    return tuple(sorted(on_cpu - set(shape_arithmetic(model)))) if on_cpu else ()


def shape_arithmetic(model: onnx.ModelProto) -> Iterator[str]:
    """The operators of nodes that make shapes, or read nothing but shapes, small constants and inputs of integers."""
    for graph in graphs(model):
        small = {tensor.name for tensor in graph.initializer if prod(tensor.dims) <= _SMALL}
        small |= {value.name for value in graph.input if value.type.tensor_type.elem_type in _WHOLE} | {""}
        shapes: set[str] = set()
        for node in graph.node:  # in topological order
            of_shapes = not shapes.isdisjoint(node.input) and all(name in shapes | small for name in node.input)
            if node.op_type in _MAKES_SHAPES or of_shapes:
                shapes.update(node.output)
                yield node.op_type
