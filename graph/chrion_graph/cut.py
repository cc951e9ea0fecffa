"""Cut a graph into sub-models whose names are canonical, so that isomorphic parts become the same file."""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from chrion_graph.errors import InvalidModel
from chrion_graph.files import write_aside
from chrion_graph.graph import Graph
from chrion_graph.rename import renamed
from chrion_graph.types import TensorType

NODE = re.compile(r"chrion\.n(\d+)")
"""What the n-th node of a sub-model is called, in what ONNX Runtime says of it."""


@dataclass(frozen=True)
class SubModel:
    """A part of a graph as a model of its own.

    The n-th input of `model` is the graph's value `inputs[n]`, likewise the outputs: the model's own names are
    canonical and say nothing of the graph.
    """

    model: onnx.ModelProto
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def write(self, folder: Path) -> Path:
        """Write it beside the weights it refers to, under the digest of its content; where that is there, it stays."""
        data = self.model.SerializeToString(deterministic=True)
        path = folder / f"part-{hashlib.sha256(data).hexdigest()[:16]}.onnx"
        if not (path.is_file() and path.read_bytes() == data):
            write_aside(path, data)
        return path


def cut(graph: Graph, nodes: Collection[int]) -> SubModel:
    """The sub-model of some nodes: what they read from others becomes its inputs, what others read its outputs.

    Raises InvalidModel where a value that would cross the cut is no tensor.
    """
    order = sorted(set(nodes))
    inside = set(order)
    inputs: dict[str, None] = {}
    constants: dict[str, None] = {}
    outputs: dict[str, None] = {}
    for index in order:
        for name in graph.reads[index]:
            if name in graph.constants:
                constants[name] = None
            elif graph.producer.get(name) not in inside:
                inputs[name] = None
        for name in graph.writes[index]:
            if name in graph.outputs or not inside.issuperset(graph.consumers.get(name, ())):
                outputs[name] = None
            elif name not in graph.consumers and name in graph.types:
                # Read by nobody, and yet an output: so a last chunk of time is the same file as those before it.
                outputs[name] = None
    names = _canonical_names(graph, order, inputs, constants)
    model = onnx.ModelProto(ir_version=graph.model.ir_version)
    model.opset_import.extend(sorted(graph.model.opset_import, key=lambda entry: entry.domain))
    model.functions.extend(graph.model.functions)
    model.graph.name = "part"
    for position, index in enumerate(order):
        node = renamed(graph.nodes[index], names)
        node.name = f"chrion.n{position}"
        model.graph.node.append(node)
    for name in constants:
        tensor = model.graph.initializer.add()
        tensor.CopyFrom(graph.constants[name])
        tensor.name = names[name]
    axes: dict[str, str] = {}
    model.graph.input.extend(_value_info(graph, name, names, axes) for name in inputs)
    # Shapes that a model declares of its outputs may be wrong; ONNX Runtime infers the right ones.
    model.graph.output.extend(_value_info(graph, name, names, axes, shaped=False) for name in outputs)
    return SubModel(model, tuple(inputs), tuple(outputs))


def _canonical_names(
    graph: Graph, order: list[int], inputs: Collection[str], constants: Collection[str]
) -> dict[str, str]:
    names = {name: f"chrion.i{position}" for position, name in enumerate(inputs)}
    names.update({name: f"chrion.w{position}" for position, name in enumerate(constants)})
    for index in order:
        for name in graph.writes[index]:
            names[name] = f"chrion.v{len(names)}"
    return names


def _value_info(
    graph: Graph, name: str, names: Mapping[str, str], axes: dict[str, str], shaped: bool = True
) -> onnx.ValueInfoProto:
    kind = graph.types.get(name)
    if kind is None:
        raise InvalidModel(
            f'value "{name}" cannot cross from one stage to another, because it is not a tensor that numpy has'
        )
    shape = kind.shape if shaped else None
    if shape is not None:
        shape = tuple(axes.setdefault(axis, f"axis{len(axes)}") if isinstance(axis, str) else axis for axis in shape)
    return onnx.helper.make_value_info(names[name], TensorType(kind.element, shape).to_proto())
