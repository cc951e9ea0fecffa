"""Find which Ifs the shapes and given values of a bucket decide: ONNX Runtime folds their conditions to constants.

Runs inside a worker process.
"""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from chrion_api import Shape
from chrion_graph.attributes import integer
from chrion_graph.bodies import node_reads
from chrion_graph.graph import Graph
from chrion_graph.ort import session_options
from chrion_graph.rewrite.inline_ifs.assumption import PinnedShape
from chrion_graph.rewrite.inline_ifs.inline import inlined
from chrion_graph.rewrite.support.rebuild import needed
from chrion_graph.types import TensorType

Pinned = dict[str, PinnedShape]
Values = Mapping[str, bool | int | float]


def decided(model: bytes, folder: Path, shapes: Mapping[str, Shape], values: Values) -> dict[str, Any] | None:
    """The parameters of the rewrite for a graph whose weights lie in `folder`; None where no If is decided.

    Axes of one element are pinned at first, for models that are fed any length; all axes where that decides less.
    """
    graph = Graph(onnx.load_from_string(model), folder)
    ones = {name: tuple(1 if size == 1 else None for size in shape) for name, shape in shapes.items()}
    few = _Search(graph, ones, values)
    most = few if few.complete else _Search(graph, {name: tuple(shape) for name, shape in shapes.items()}, values)
    best = most if len(most.branches) > len(few.branches) else few
    if not best.branches:
        return None
    result = inlined(graph, best.branches)
    return {
        "branches": [[name, taken] for name, taken in best.branches],
        "shapes": {name: list(best.pinned[name]) for name in sorted(best.read) if any(best.pinned[name])},
        "values": {name: values[name] for name in sorted(best.read) if name in values},
        "types": {name: [kind.element, kind.shape] for name, kind in _types(result) if name not in graph.types},
    }


class _Search:
    """The Ifs that are decided where these axes are pinned."""

    def __init__(self, graph: Graph, pinned: Pinned, values: Values) -> None:
        self.pinned, self._values = pinned, values
        self.branches: list[tuple[str, bool]] = []
        self.read: set[str] = set()
        """The inputs by which they are decided."""
        self.complete = True
        """Whether all are."""
        open_: set[str] = set()
        current = graph
        while (condition := _first_if(current, open_)) is not None:
            taken, read = self._constant(current, condition)
            if taken is None:
                open_.add(condition)
            else:
                self.branches.append((condition, taken))
                self.read |= read
                current = inlined(graph, self.branches)
        self.complete = not open_

    def _constant(self, graph: Graph, name: str) -> tuple[bool | None, set[str]]:
        """What a value is for every request that is pinned so, and the inputs that make it; None where that differs."""
        if name in graph.constants:
            return bool(numpy_helper.to_array(graph.constants[name], str(graph.folder)).all()), set()
        probe = self._probe(graph, name)
        read = {value.name for value in probe.graph.input} | {
            value for value in self._values if value in {tensor.name for tensor in probe.graph.initializer}
        }
        with tempfile.TemporaryDirectory(dir=graph.folder, prefix="decide-") as folder:
            file = Path(folder) / "folded.onnx"
            options = session_options(ort.GraphOptimizationLevel.ORT_ENABLE_BASIC)
            options.optimized_model_filepath = str(file)
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(graph.folder))
            ort.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
            folded = onnx.load(file, load_external_data=False)
        found = next((tensor for tensor in folded.graph.initializer if tensor.name == name), None)
        return (None if found is None else bool(numpy_helper.to_array(found).all())), read

    def _probe(self, graph: Graph, name: str) -> onnx.ModelProto:
        """A model of what makes a value, its inputs pinned."""
        nodes = needed(list(graph.nodes), [name])
        reads = {each for node in nodes for each in node_reads(node)} | {name}
        model = onnx.ModelProto()
        model.CopyFrom(graph.model)
        for field in ("node", "initializer", "value_info", "input", "output"):
            model.graph.ClearField(field)
        model.graph.node.extend(nodes)
        model.graph.initializer.extend(tensor for each, tensor in graph.constants.items() if each in reads)
        for each, kind in graph.inputs.items():
            if each in reads and kind is not None:
                shape = self.pinned[each]
                if each in self._values and None not in shape:
                    full = np.full(tuple(size or 0 for size in shape), self._values[each], kind.dtype)
                    model.graph.initializer.append(numpy_helper.from_array(full, each))
                else:
                    model.graph.input.append(helper.make_tensor_value_info(each, kind.element, shape))
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.BOOL, None))
        return _with_known_axes(model, graph.folder)


def _first_if(graph: Graph, open_: set[str]) -> str | None:
    return next((node.input[0] for node in graph.nodes if node.op_type == "If" and node.input[0] not in open_), None)


def _with_known_axes(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    """The model with constants in place of single axes that are known, though not all of their shape is.

    ONNX Runtime folds a Shape only as a whole, and exporters take one axis out of it by Gather.
    """
    graph = Graph(model, folder)
    shaped = {
        node.output[0]: node.input[0]
        for node in graph.nodes
        if node.op_type == "Shape" and not integer(node, "start", 0) and not integer(node, "end", 0)
    }
    gathers = [node for node in graph.nodes if node.op_type == "Gather" and node.input[0] in shaped]
    if not gathers:
        return model
    kinds = {**graph.inputs, **dict(_types(graph))}
    for node in gathers:
        kind, at = kinds.get(shaped[node.input[0]]), graph.constants.get(node.input[1])
        if kind is None or kind.shape is None or at is None or at.data_location == TensorProto.EXTERNAL:
            continue
        places = numpy_helper.to_array(at)
        axes = [kind.shape[place] for place in places.flat]
        if all(isinstance(axis, int) for axis in axes):
            found = np.array(axes, np.int64).reshape(places.shape)
            model.graph.initializer.append(numpy_helper.from_array(found, node.output[0]))
            model.graph.node.remove(node)
    return model


def _types(graph: Graph) -> Iterator[tuple[str, TensorType]]:
    """The types of all values between nodes, as ONNX Runtime infers them."""
    between = [name for names in graph.writes for name in names if name not in graph.outputs]
    probe = onnx.ModelProto()
    probe.CopyFrom(graph.model)
    del probe.graph.value_info[:]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in between)
    options = session_options(ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(graph.folder))
    session = ort.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for value in session.get_outputs():
        kind = TensorType.from_ort(value.type, value.shape)
        if kind is not None and value.name not in graph.outputs:
            yield value.name, kind
