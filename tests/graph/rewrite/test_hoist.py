"""Hoisting projections: one product for all steps that share its weights, where no step waits for another."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.rewrite import hoist, reroll
from chrion_models.families.graph import GraphBuilder
from chrion_models.inputs import random_inputs
from tests.support.partition import normalised, reference
from tests.support.rerolled import node_by_node

STEPS, BATCH, WIDTH = 5, 2, 64
GATES = 4 * WIDTH


class Peepholes:
    """An unrolled LSTM whose gates look at the cell state, which re-roll does not know; its input may be projected."""

    def __init__(self, batch: int | str = "batch", linear: str = "gemm", time: int = 0) -> None:
        self.graph, self.linear, self.batch = GraphBuilder(), linear, batch
        self.x = self.graph.input("x", (STEPS, batch, WIDTH) if time == 0 else (batch, STEPS, WIDTH))
        self.time = time
        self.first = [self.graph.input(name, (batch, WIDTH)) for name in "hc"]
        self.shapes = {"x": (STEPS, BATCH, WIDTH) if time == 0 else (BATCH, STEPS, WIDTH)}
        self.shapes |= dict.fromkeys("hc", (BATCH, WIDTH))

    def weights(self, name: str, width: int = GATES) -> None:
        shape = (width, WIDTH) if self.linear == "gemm" else (WIDTH, width)
        for side in "xh":
            self.graph.weight(f"{name}.{side}", shape, 0.1)
            self.graph.weight(f"{name}.{side}.bias", (width,), 0.1)

    def step(self, name: str, x: str, h: str, c: str) -> tuple[str, str]:
        node = self.graph.node
        i, o, f, g = self.graph.nodes(
            "Split", [node("Add", self.product(name, "x", x), self.product(name, "h", h))], 4, axis=1
        )
        i, f = (node("Sigmoid", node("Add", gate, c)) for gate in (i, f))
        c = node("Add", node("Mul", f, c), node("Mul", i, node("Tanh", g)))
        return node("Mul", node("Sigmoid", node("Add", o, c)), node("Tanh", c)), c

    def product(self, name: str, side: str, value: str) -> str:
        weight, bias = f"{name}.{side}", f"{name}.{side}.bias"
        if self.linear == "gemm":
            return self.graph.node("Gemm", value, weight, bias, transB=1)
        return self.graph.node("Add", self.graph.node("MatMul", value, weight), bias)

    def inputs(self, how: str) -> list[str]:
        node, graph = self.graph.node, self.graph
        if how == "split":
            parts = graph.nodes("Split", [self.x], STEPS, axis=self.time)
            return [node("Squeeze", part, graph.constant(self.time)) for part in parts]
        steps = [node("Gather", self.x, graph.scalar(step), axis=self.time) for step in range(STEPS)]
        return [node("Neg", step) for step in steps] if how == "apart" else steps[:: -1 if how == "backward" else 1]

    def run(self, name: str, inputs: list[str]) -> list[str]:
        self.weights(name)
        (h, c), hidden = self.first, []
        for x in inputs:
            h, c = self.step(name, x, h, c)
            hidden.append(h)
        return hidden

    def model(self, values: list[str], opset: int = 17) -> onnx.ModelProto:
        stacked = self.graph.node(
            "Concat", *(self.graph.node("Unsqueeze", v, self.graph.constant(0)) for v in values), axis=0
        )
        self.graph.output("y", stacked, (len(values), "batch", "width"))
        model = self.graph.model("peepholes")
        model.opset_import[0].version = opset
        return model


def hoisted(model: onnx.ModelProto, shapes: dict[str, tuple[int, ...]], folder: Path, products: int) -> Graph:
    """The rewritten graph; asserts how many products it has, and its answers, node by node."""
    graph = normalised(model, folder)
    assert list(reroll.propose(graph)) == []
    assert list(hoist.propose(graph)) == [{"products": products}]
    found = hoist.apply(graph, {"products": products})
    feeds = random_inputs(model, shapes)
    values = node_by_node(found, feeds)
    for name, value in reference(model, feeds).items():
        np.testing.assert_allclose(values[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    assert list(hoist.propose(found)) == []
    return found


def products(graph: Graph) -> Counter[int]:
    """How many products there are of as many rows; of unknown many as 0."""
    nodes = [node for node in graph.nodes if node.op_type in ("MatMul", "Gemm")]
    return Counter((graph.types[node.output[0]].shape or (0,))[0] or 0 for node in nodes)


class TestSteps:
    @pytest.mark.parametrize("linear", ["gemm", "matmul"])
    @pytest.mark.parametrize("time", [0, 1], ids=["time first", "batch first"])
    @pytest.mark.parametrize("how", ["gather", "split", "backward", "apart"])
    def test_of_a_cell_that_re_roll_does_not_know(self, how: str, time: int, linear: str, tmp_path: Path) -> None:
        made = Peepholes(BATCH, linear, time)
        found = hoisted(made.model(made.run("cell", made.inputs(how))), made.shapes, tmp_path, 1)
        assert products(found) == {STEPS * BATCH: 1, BATCH: STEPS}
        kinds = Counter(node.op_type for node in found.nodes)
        assert kinds["Gather"] + kinds["Squeeze"] == STEPS * (how == "apart"), "the sequence itself is read"

    @pytest.mark.parametrize("opset", [12, 17, 18])
    def test_an_open_batch(self, opset: int, tmp_path: Path) -> None:
        made = Peepholes("batch", "matmul")
        inputs = [made.graph.node("Gather", made.x, made.graph.scalar(step), axis=0) for step in range(STEPS)]
        made.weights("dense")
        outputs = [made.graph.node("Tanh", made.product("dense", "x", x)) for x in inputs]
        made.graph.output("y", made.graph.node("Concat", *outputs, axis=0), ("rows", GATES))
        model = made.graph.model("dense")
        model.opset_import[0].version = opset
        hoisted(model, made.shapes, tmp_path, 1)

    def test_layer_upon_layer(self, tmp_path: Path) -> None:
        made = Peepholes()
        lower = made.run("lower", made.inputs("gather"))
        hoisted(made.model(made.run("upper", lower)), made.shapes, tmp_path, 2)

    def test_float64(self, tmp_path: Path) -> None:
        made = Peepholes(BATCH)
        model = made.model(made.run("cell", made.inputs("gather")))
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
        for tensor in model.graph.initializer:
            if tensor.data_type == TensorProto.FLOAT:
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
        found = hoisted(model, made.shapes, tmp_path, 1)
        assert {kind.element for kind in found.types.values()} == {TensorProto.DOUBLE}


class TestLeftAlone:
    def test_a_decoder_that_reads_what_it_said(self, tmp_path: Path) -> None:
        made = Peepholes()
        made.weights("cell")
        (h, c), said = made.first, []
        value = made.inputs("gather")[0]
        for _ in range(STEPS):
            h, c = made.step("cell", value, h, c)
            value = made.graph.node("Softmax", h, axis=1)
            said.append(value)
        assert list(hoist.propose(normalised(made.model(said), tmp_path))) == []

    def test_one_of_two_that_need_each_other(self, tmp_path: Path) -> None:
        """Each group could be one product alone: each reads a product of the other."""
        made = Peepholes()
        for name in ("one", "other"):
            made.weights(name, WIDTH)
        early = made.inputs("gather")
        values = []
        for name, others in (("one", "other"), ("other", "one")):
            values += [made.product(name, "x", x) for x in early[:2]]
            values.append(made.product(name, "x", made.graph.node("Neg", made.product(others, "x", early[1]))))
        # The product of the other that each reads is of the other's group too.
        found = hoisted(made.model(values), made.shapes, tmp_path, 1)
        assert [node.op_type for node in found.nodes].count("Gemm") == 1 + 3

    @pytest.mark.parametrize("what", ["two", "small", "rows of their own", "batches of their own"])
    def test_what_is_not_worth_it_or_not_alike(self, what: str, tmp_path: Path) -> None:
        made = Peepholes("other" if what == "batches of their own" else BATCH)
        width = 8 if what == "small" else GATES
        made.weights("dense", width)
        inputs = [*made.inputs("gather")[: 2 if what in ("two", "batches of their own") else STEPS]]
        if what == "batches of their own":
            inputs.append(made.graph.input("more", ("batch", WIDTH)))
        outputs = [made.product("dense", "x", x) for x in inputs]
        if what == "rows of their own":
            bias = made.graph.weight("rows", (BATCH, width), 0.1)
            outputs = [made.graph.node("Gemm", x, "dense.x", bias, transB=1) for x in inputs]
        made.graph.output("y", made.graph.node("Concat", *outputs, axis=0), ("rows", width))
        assert list(hoist.propose(normalised(made.graph.model("dense"), tmp_path))) == []


@pytest.mark.parametrize("parameters", [{}, {"products": 2}, {"products": "1"}, {"products": 1, "nodes": []}])
def test_parameters_of_another_graph_are_refused(parameters: dict[str, object], tmp_path: Path) -> None:
    made = Peepholes()
    graph = normalised(made.model(made.run("cell", made.inputs("gather"))), tmp_path)
    with pytest.raises(RewriteError, match="this graph has 1 groups"):
        hoist.apply(graph, parameters)
