"""Joining steps: chains of recurrent nodes of one step become one node, with the same answers."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.recurrent import RECURRENT
from chrion_graph.rewrite import join_steps
from chrion_models.families.graph import GraphBuilder
from chrion_models.families.stack import GATES, Kind, state_names
from chrion_models.inputs import random_inputs
from tests.support.partition import normalised, reference
from tests.support.rerolled import node_by_node

STEPS, WIDTH, BATCH = 5, 6, 3
SHAPES = {"x": (STEPS, BATCH, WIDTH), "h": (1, BATCH, WIDTH), "c": (1, BATCH, WIDTH)}


class Loop:
    """A loop over a layer of one step, unrolled."""

    def __init__(self, kind: Kind = "LSTM", batch: int | str = "batch", opset: int = 17) -> None:
        self.graph, self.kind, self.opset, self.batch = GraphBuilder(), kind, opset, batch
        self.x = self.graph.input("x", (STEPS, batch, WIDTH))
        self.first = [self.graph.input(name, (1, batch, WIDTH)) for name in state_names(kind)]

    def inputs(self, how: str = "slice") -> list[str]:
        """All steps, [1, batch, width] each."""
        node, graph = self.graph.node, self.graph
        if how == "split":
            return graph.nodes("Split", [self.x], STEPS, axis=0)
        if how in ("slice", "backward", "apart"):
            bounds = [(graph.constant(step), graph.constant(step + 1)) for step in range(STEPS)]
            steps = [node("Slice", self.x, *bound, graph.constant(0)) for bound in bounds]
            return [node("Neg", step) for step in steps] if how == "apart" else steps[:: -1 if how == "backward" else 1]
        steps = [node("Gather", self.x, graph.scalar(step), axis=0) for step in range(STEPS)]
        return [node("Unsqueeze", step, graph.constant(0)) for step in steps]

    def weights(self, name: str) -> list[str]:
        rows = GATES[self.kind] * WIDTH
        shapes = (("W", (1, rows, WIDTH)), ("R", (1, rows, WIDTH)), ("B", (1, 2 * rows)))
        return [self.graph.weight(f"{name}.{role}", shape, 0.5) for role, shape in shapes]

    def step(self, weights: list[str], x: str, states: list[str], **attributes: object) -> tuple[str, list[str]]:
        """One node: its Y and its final states."""
        reads = [x, *weights, "", *states]
        y, *finals = self.graph.nodes(self.kind, reads, 1 + len(self.first), hidden_size=WIDTH, **attributes)
        return y, finals

    def run(self, weights: list[str], inputs: list[str], how: str = "", **attributes: object) -> list[list[str]]:
        """The states after each step; `how` says what is between two steps."""
        node, axis, states, found = self.graph.node, self.graph.constant(0), self.first, []
        for x in inputs:
            y, states = self.step(weights, x, states, **attributes)
            if how == "squeezed":
                states = [node("Unsqueeze", node("Squeeze", state, axis), axis) for state in states]
            elif how == "from Y":
                states = [node("Squeeze", y, self.graph.constant(1)), *states[1:]]
            found.append(states)
        return found

    def model(self, **outputs: tuple[str, int]) -> onnx.ModelProto:
        for name, (value, axes) in outputs.items():
            self.graph.output(name, value, [f"{name}{axis}" for axis in range(axes)])
        model = self.graph.model("loop")
        model.opset_import[0].version = self.opset
        return model


def joined(model: onnx.ModelProto, folder: Path, layers: int, others: int) -> Graph:
    """The rewritten graph; asserts its number of layers and of other nodes, and the model's answers, node by node."""
    graph = normalised(model, folder)
    assert list(join_steps.propose(graph)) == [{"chains": layers}]
    found = join_steps.apply(graph, {"chains": layers})
    kinds = Counter(node.op_type in RECURRENT for node in found.nodes)
    assert kinds[True] == layers
    assert kinds[False] <= others, [node.op_type for node in found.nodes]
    feeds = random_inputs(model, {name: shape for name, shape in SHAPES.items() if name in graph.inputs})
    values = node_by_node(found, feeds)
    for name, value in reference(model, feeds).items():
        np.testing.assert_allclose(values[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    assert list(join_steps.propose(found)) == []
    return found


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("between", ["", "squeezed", "from Y"])
@pytest.mark.parametrize("how", ["slice", "split", "gather", "backward", "apart"])
def test_every_way_to_write_a_loop(how: str, between: str, kind: Kind, tmp_path: Path) -> None:
    made = Loop(kind)
    states = made.run(made.weights("layer"), made.inputs(how), between)
    y = made.graph.node("Concat", *(each[0] for each in states), axis=0)
    last = {f"last{index}": (made.graph.node("Neg", state), 3) for index, state in enumerate(states[-1])}
    # Both states' Neg and their glue, Y without its axis of directions; without a sequence each step and a Concat.
    most = 2 + 4 + 1 + (1 + 2 * STEPS if how == "apart" else 0) + (2 if how == "backward" else 0)
    joined(made.model(y=(y, 3), **last), tmp_path, 1, most)


@pytest.mark.parametrize("opset", [12, 18])
def test_layer_upon_layer_and_single_steps_looked_at(opset: int, tmp_path: Path) -> None:
    made = Loop("GRU", BATCH, opset)
    lower = made.run(made.weights("lower"), made.inputs(), linear_before_reset=1)
    upper = made.run(made.weights("upper"), [states[0] for states in lower], linear_before_reset=1, clip=0.4)
    looked = made.graph.node("Tanh", lower[2][0])
    y = made.graph.node("Concat", *(states[0] for states in upper), axis=0)
    found = joined(made.model(y=(y, 3), looked=(looked, 3)), tmp_path, 2, 2 + 2)
    assert not any(node.op_type == "Concat" for node in found.nodes)


@pytest.mark.parametrize("kind", GATES)
def test_a_loop_that_begins_with_zeros(kind: Kind, tmp_path: Path) -> None:
    made = Loop(kind)
    made.first = [""] * len(made.first)
    states = made.run(made.weights("layer"), made.inputs())
    found = joined(made.model(y=(made.graph.node("Neg", states[-1][0]), 3)), tmp_path, 1, 1)
    assert [len([name for name in node.output if name]) for node in found.nodes] == [1, 1], "no Y that nobody reads"


def test_all_of_y(tmp_path: Path) -> None:
    made = Loop()
    weights, states, every = made.weights("layer"), made.first, []
    for x in made.inputs():
        y, states = made.step(weights, x, states)
        every.append(y)
    joined(made.model(y=(made.graph.node("Concat", *every, axis=0), 4)), tmp_path, 1, 2)


class TestLeftAlone:
    def test_a_cell_state_that_others_read_parts_the_chain(self, tmp_path: Path) -> None:
        made = Loop()
        weights, x = made.weights("layer"), made.inputs()
        states = made.run(weights, x)
        looked = made.graph.node("Neg", states[2][1])
        y = made.graph.node("Concat", *(each[0] for each in states), axis=0)
        graph = normalised(made.model(y=(y, 3), looked=(looked, 3)), tmp_path)
        (proposed,) = join_steps.propose(graph)
        found = join_steps.apply(graph, proposed)
        assert [node.op_type for node in found.nodes].count("LSTM") == 1 + 2

    def test_a_decoder_that_reads_what_it_said(self, tmp_path: Path) -> None:
        made = Loop("GRU")
        weights, states, x = made.weights("layer"), made.first, made.inputs()[0]
        for _ in range(STEPS):
            _, states = made.step(weights, x, states)
            x = made.graph.node("Softmax", states[0], axis=-1)
        assert list(join_steps.propose(normalised(made.model(y=(x, 3)), tmp_path))) == []

    @pytest.mark.parametrize("what", ["two steps", "other weights", "several steps a node"])
    def test_what_is_no_chain(self, what: str, tmp_path: Path) -> None:
        made = Loop("RNN")
        inputs = made.inputs()[: 2 if what == "two steps" else STEPS]
        if what == "several steps a node":
            inputs = [made.x] * 3
        states = made.first
        weights = made.weights("layer")
        for step, x in enumerate(inputs):
            weights = made.weights(f"layer{step}") if what == "other weights" else weights
            _, states = made.step(weights, x, states)
        y = made.graph.node("Neg", states[0])
        assert list(join_steps.propose(normalised(made.model(y=(y, 3)), tmp_path))) == []


@pytest.mark.parametrize("parameters", [{}, {"chains": 2}, {"chains": "1"}, {"chains": 1, "nodes": []}])
def test_parameters_of_another_graph_are_refused(parameters: dict[str, object], tmp_path: Path) -> None:
    made = Loop("RNN")
    states = made.run(made.weights("layer"), made.inputs())
    graph = normalised(made.model(y=(made.graph.node("Neg", states[-1][0]), 3)), tmp_path)
    with pytest.raises(RewriteError, match="this graph has 1 chains"):
        join_steps.apply(graph, parameters)
