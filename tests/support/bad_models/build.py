"""What the bad models are made with: protobufs put together without any check."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper


@dataclass(frozen=True)
class BadModel:
    """One bad model."""

    problem: str
    """What is wrong with it, in a few words."""
    build: Callable[[Path], bytes]
    """Makes the file's content; it may put other files into the folder that it is given, or beside it."""


def floats(name: str, *axes: int | str) -> ValueInfoProto:
    """A float value of that shape."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, axes)


def graph(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    initializers: Sequence[TensorProto] = (),
) -> GraphProto:
    """A graph of these parts, right or wrong."""
    return helper.make_graph(nodes, "bad", inputs, outputs, initializers)


def model(body: GraphProto, opset: int = 17, domains: Sequence[str] = ()) -> ModelProto:
    """A model around the graph; `domains` are imported at version 1."""
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(body, opset_imports=imports, ir_version=8)


def serialized(body: GraphProto, opset: int = 17, domains: Sequence[str] = ()) -> bytes:
    """The file of `model`."""
    content: bytes = model(body, opset, domains).SerializeToString()
    return content
