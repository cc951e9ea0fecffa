"""Re-rolls models and compares: node by node, with what ONNX Runtime answers from the original."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from chrion_graph.cut import cut
from chrion_graph.graph import Graph
from chrion_graph.rewrite import reroll
from chrion_models.families.graph import GraphBuilder
from chrion_models.inputs import random_inputs
from tests.support.partition import DISABLED, Arrays, normalised, reference
from tests.support.unrolled_cells import FEATURES, HIDDEN, Layer

STEPS, BATCH = 5, 3
SHAPES = {"x": (STEPS, BATCH, FEATURES), "h": (BATCH, HIDDEN), "c": (BATCH, HIDDEN)}
RECURRENT = ("LSTM", "GRU", "RNN")
CELL_NODES = {"Sigmoid", "Tanh", "Relu", "Gemm", "MatMul", "Mul", "Add", "Sub", "Split"}


def re_rolled(
    model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]], folder: Path, layers: int, loose: int = 0
) -> Graph:
    """The new graph; asserts that it has so many layers, so many other nodes of cells, and the model's answers."""
    graph = normalised(model, folder)
    assert list(reroll.propose(graph)) == [{"chains": layers}]
    found = reroll.apply(graph, {"chains": layers})
    kinds = Counter(node.op_type for node in found.nodes)
    assert sum(kinds[kind] for kind in RECURRENT) == layers
    assert sum(kinds[kind] for kind in CELL_NODES) == loose
    same_answers(model, found, shapes)
    assert list(reroll.propose(found)) == []
    assert {name for names in found.reads for name in names} >= found.constants.keys()
    return found


def assert_left_alone(model: onnx.ModelProto | Path, folder: Path) -> None:
    """Asserts that a model has nothing to re-roll."""
    assert list(reroll.propose(normalised(model, folder))) == []


def same_answers(model: onnx.ModelProto, graph: Graph, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Asserts that every node as a file of its own, one after another, comes to the model's answers."""
    feeds = random_inputs(model, {name: shape for name, shape in shapes.items() if name in graph.inputs})
    wanted, found = reference(model, feeds), node_by_node(graph, feeds)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


def node_by_node(graph: Graph, feeds: Arrays) -> Arrays:
    """Every value, of nodes that are cut out one by one; their shapes must be what the graph says."""
    values = dict(feeds)
    for index in range(len(graph.nodes)):
        sub_model = cut(graph, [index])
        inputs = {f"chrion.i{place}": values[name] for place, name in enumerate(sub_model.inputs)}
        found = reference(sub_model.write(graph.folder), inputs, DISABLED)
        values |= dict(zip(sub_model.outputs, found.values(), strict=True))
        for name in sub_model.outputs:
            assert _fits(graph, name, values[name].shape), f"{name}: {values[name].shape} is not {graph.types[name]}"
    return values


def _fits(graph: Graph, name: str, shape: tuple[int, ...]) -> bool:
    known = graph.types[name].shape
    return known is None or (
        len(known) == len(shape)
        and all(not isinstance(one, int) or one == other for one, other in zip(known, shape, strict=True))
    )


class Unrolled:
    """A model under construction: inputs x [steps, batch, features], h and c, whose batch is open or fixed."""

    def __init__(self, batch: int | str = "batch", steps: int | str = STEPS, batch_first: bool = False) -> None:
        self.graph = GraphBuilder()
        self.batch = batch
        axes = (batch, steps) if batch_first else (steps, batch)
        self.x = self.graph.input("x", (*axes, FEATURES))
        self.time = int(batch_first)

    def at(self, index: int) -> str:
        """One step of the input."""
        return self.graph.node("Gather", self.x, self.graph.scalar(index), axis=self.time)

    def inputs(self) -> list[str]:
        """All steps of the input."""
        return [self.at(step) for step in range(STEPS)]

    def states(self) -> tuple[str, str]:
        """Hidden state and cell state as inputs."""
        h, c = (self.graph.input(name, (self.batch, HIDDEN)) for name in ("h", "c"))
        return h, c

    def run(self, layer: Layer, inputs: list[str], h: str, c: str = "") -> tuple[list[str], str]:
        """All hidden states, and the last cell state."""
        hidden = []
        for x in inputs:
            h, c = layer.step(x, h, c)
            hidden.append(h)
        return hidden, c

    def stack(self, values: list[str], axis: int = 0) -> str:
        """Values of two axes as one of three."""
        node, axes = self.graph.node, self.graph.constant(axis)
        return node("Concat", *(node("Unsqueeze", value, axes) for value in values), axis=axis)

    def model(self, **outputs: tuple[str, int]) -> onnx.ModelProto:
        """The model with these outputs, each with its number of axes."""
        for name, (value, axes) in outputs.items():
            self.graph.output(name, value, [f"{name}{axis}" for axis in range(axes)])
        return self.graph.model("unrolled")
