"""The graph of a normalised model: nodes by index, values by name, and as a networkx DAG."""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import networkx as nx
import onnx
from numpy.typing import NDArray

from chrion_graph.bodies import all_bodies, node_reads
from chrion_graph.errors import InvalidModel
from chrion_graph.normalise import MODEL_FILE, UNCHANGED
from chrion_graph.optional_inputs import defaults
from chrion_graph.types import TensorType, tensor_bytes

Shapes = Mapping[str, tuple[int, ...]]
"""The shape of each value for one bucket of input shapes."""


class Graph:
    """A model whose nodes are named by their index in topological order.

    A control-flow node (If, Loop, Scan) is one node; values that its bodies capture count among what it reads.
    """

    def __init__(self, model: onnx.ModelProto, folder: Path) -> None:
        """`folder` holds the model's external data. Raises InvalidModel where the nodes are not in order."""
        self.model = model
        self.folder = folder
        self.nodes = tuple(model.graph.node)
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.inputs = {value.name: _tensor_type(value) for value in model.graph.input}
        self.outputs = {value.name: _tensor_type(value) for value in model.graph.output}
        self.reads = tuple(tuple(dict.fromkeys(node_reads(node))) for node in self.nodes)
        self.writes = tuple(tuple(name for name in node.output if name) for node in self.nodes)
        self.producer: dict[str, int] = {}
        for index, names in enumerate(self.reads):
            for name in names:
                if name not in self.producer and name not in self.inputs and name not in self.constants:
                    raise InvalidModel(
                        f'node {index} ({self.nodes[index].op_type}) reads "{name}", which no earlier node makes'
                    )
            for name in self.writes[index]:
                self.producer[name] = index

    @classmethod
    def load(cls, folder: Path, file: str = MODEL_FILE) -> "Graph":
        """The graph of a normalised model's folder."""
        return cls(onnx.load(folder / file, load_external_data=False), folder)

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators."""
        versions = (entry.version for entry in self.model.opset_import if entry.domain in ("", "ai.onnx"))
        return next(versions, 0)

    @property
    def unchanged(self) -> str:
        """Why the model was left as it is; empty where it was normalised."""
        return next((entry.value for entry in self.model.metadata_props if entry.key == UNCHANGED), "")

    @cached_property
    def defaults(self) -> dict[str, NDArray[Any]]:
        """The values of those inputs that may be left out."""
        return defaults(self.constants)

    @cached_property
    def types(self) -> dict[str, TensorType]:
        """The type of every tensor value; values of other kinds are missing."""
        found = {value.name: TensorType.from_proto(value.type) for value in self.model.graph.value_info}
        found |= self.inputs
        found |= self.outputs
        there = self.producer.keys() | self.inputs.keys()
        return {name: kind for name, kind in found.items() if kind is not None and name in there}

    @cached_property
    def consumers(self) -> dict[str, tuple[int, ...]]:
        """The nodes that read each value."""
        found: dict[str, list[int]] = {}
        for index, names in enumerate(self.reads):
            for name in names:
                found.setdefault(name, []).append(index)
        return {name: tuple(indices) for name, indices in found.items()}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the graph's structure and of its inline constants; external weights count by position."""
        sha = hashlib.sha256()
        for part in (*self.model.graph.input, *self.model.graph.output, *self.nodes, *self.model.graph.initializer):
            data = part.SerializeToString(deterministic=True)
            sha.update(len(data).to_bytes(8, "little"))
            sha.update(data)
        return sha.hexdigest()

    def constant_bytes(self, index: int) -> int:
        """Bytes of the constants that a node reads, those inside its bodies included."""
        own = [self.constants[name] for name in self.reads[index] if name in self.constants]
        inner = [tensor for body in all_bodies(self.nodes[index]) for tensor in body.initializer]
        return sum(tensor_bytes(tensor.data_type, tuple(tensor.dims)) for tensor in (*own, *inner))

    def value_bytes(self, name: str, shapes: Shapes) -> int:
        """Bytes of a value; zero where its kind or shape is not known."""
        kind = self.types.get(name)
        return tensor_bytes(kind.element, shapes[name]) if kind and name in shapes else 0

    def dag(self, shapes: Shapes) -> "nx.DiGraph[int]":
        """Node indices as a DAG; the edge attribute `bytes` is what the consumer reads from the producer."""
        dag: nx.DiGraph[int] = nx.DiGraph()
        dag.add_nodes_from(range(len(self.nodes)))
        for index, names in enumerate(self.reads):
            for name in names:
                source = self.producer.get(name)
                if source is None:
                    continue
                before = dag.get_edge_data(source, index, {"bytes": 0})["bytes"]
                dag.add_edge(source, index, bytes=before + self.value_bytes(name, shapes))
        return dag

    def unit(self, index: int) -> tuple[int, ...]:
        """A node and those that cannot be parted from it, with whatever lies on a way between them, in order."""
        return self._units.get(index, (index,))

    @cached_property
    def _units(self) -> dict[int, tuple[int, ...]]:
        """Every unit of several nodes, by each of them."""
        bound: nx.DiGraph[int] = nx.DiGraph((target, source) for source, target in self.joined())
        if not bound:
            return {}
        bound.add_edges_from(
            (self.producer[name], index)
            for index, names in enumerate(self.reads)
            for name in names
            if name in self.producer
        )
        units = (tuple(sorted(nodes)) for nodes in nx.strongly_connected_components(bound) if len(nodes) > 1)
        return {node: unit for unit in units for node in unit}

    def joined(self) -> Iterator[tuple[int, int]]:
        """Pairs of nodes that share a value which is no tensor (a sequence, an optional) and so cannot be parted."""
        for name, source in self.producer.items():
            if name not in self.types:
                for target in self.consumers.get(name, ()):
                    yield source, target


def _tensor_type(value: onnx.ValueInfoProto) -> TensorType | None:
    return TensorType.from_proto(value.type)
