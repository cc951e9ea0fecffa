"""Splitting wide nodes: the parts side by side are the whole, and its weights are not kept beside theirs."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.rewrite import split_wide
from chrion_models.families.graph import GraphBuilder
from chrion_models.inputs import random_inputs
from tests.support.partition import normalised, reference
from tests.support.rerolled import node_by_node

BATCH, WIDTH = 3, 256


def dense(how: str, outputs: int = 272) -> onnx.ModelProto:
    """One product of an open number of rows; `how` names its form and its bias."""
    graph = GraphBuilder()
    axes = ("batch", "rows", WIDTH) if "three axes" in how else ("batch", WIDTH)
    transposed = "transposed" in how
    x, weight = graph.input("x", axes), graph.weight("w", (outputs, WIDTH) if transposed else (WIDTH, outputs), 0.1)
    if "matmul" in how:
        y = graph.node("MatMul", x, weight)
    else:
        rows = next((rows for name, rows in (("one", (1,)), ("row", (1, outputs))) if name in how), (outputs,))
        bias = [] if "bare" in how else [graph.weight("b", rows, 1.0)]
        y = graph.node("Gemm", x, weight, *bias, transB=int(transposed), alpha=0.5, beta=2.0)
    graph.output("y", graph.node("Tanh", y), (*axes[:-1], outputs))
    return graph.model("dense")


def conv(channels: int, outputs: int, group: int, bias: bool = True, sizes: int = 3) -> onnx.ModelProto:
    """One convolution over an open number of places."""
    graph = GraphBuilder()
    x = graph.input("x", ("batch", channels, "height", 9))
    weights = [graph.weight("w", (outputs, channels // group, sizes, sizes), 0.1)]
    weights += [graph.weight("b", (outputs,), 1.0)] if bias else []
    y = graph.node("Conv", x, *weights, group=group, strides=[2, 1], auto_pad="SAME_UPPER")
    graph.output("y", graph.node("Tanh", y), ("batch", outputs, "out", 9))
    return graph.model("conv")


def check(model: onnx.ModelProto, shape: tuple[int, ...], folder: Path, parts: int = 2) -> Graph:
    """The graph with its one wide node in parts; asserts the model's answers, node by node, and no more weights."""
    graph = normalised(model, folder)
    wide = next(index for index, node in enumerate(graph.nodes) if node.op_type in split_wide.LEAST_BYTES)
    found = split_wide.apply(graph, {"nodes": [wide], "parts": parts})
    assert [node.op_type for node in found.nodes].count(graph.nodes[wide].op_type) == parts
    feeds = random_inputs(model, {"x": shape})
    values = node_by_node(found, feeds)
    for name, value in reference(model, feeds).items():
        np.testing.assert_allclose(values[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    # Numbers of Splits and the parts of a bias of one number aside.
    assert weights(found) <= weights(graph) + 2 * parts
    return found


def weights(graph: Graph) -> int:
    return sum(int(np.prod(tensor.dims)) for tensor in graph.constants.values())


FORMS = ("matmul", "matmul of three axes", "gemm", "gemm transposed", "gemm bare", "gemm one", "gemm transposed row")


class TestAnswers:
    @pytest.mark.parametrize("how", FORMS)
    @pytest.mark.parametrize("parts", [2, 3])
    def test_products(self, how: str, parts: int, tmp_path: Path) -> None:
        check(dense(how), (BATCH, 2, WIDTH) if "three" in how else (BATCH, WIDTH), tmp_path, parts)

    @pytest.mark.parametrize("opset", [12, 17, 18])
    @pytest.mark.parametrize(("channels", "outputs", "group"), [(32, 70, 1), (64, 96, 4), (64, 64, 64), (64, 128, 2)])
    def test_convolutions(self, channels: int, outputs: int, group: int, opset: int, tmp_path: Path) -> None:
        model = conv(channels, outputs, group, bias=opset != 18)
        model.opset_import[0].version = opset
        check(model, (2, channels, 7, 9), tmp_path)

    def test_rows_of_weights_are_referred_to_where_they_lie(self, tmp_path: Path) -> None:
        found = check(dense("gemm transposed"), (BATCH, WIDTH), tmp_path)
        assert not list(found.folder.glob("weights-*.bin"))

    def test_nodes_that_share_weights_share_their_parts(self, tmp_path: Path) -> None:
        model = dense("gemm")
        other = model.graph.node.add()
        other.CopyFrom(next(node for node in model.graph.node if node.op_type == "Gemm"))
        other.name, other.input[0], other.output[0] = "other", "x2", "z"
        model.graph.input.append(helper.make_tensor_value_info("x2", TensorProto.FLOAT, (BATCH, WIDTH)))
        model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
        graph = normalised(model, tmp_path)
        (proposed,) = split_wide.propose(graph)
        found = split_wide.apply(graph, proposed)
        assert [node.op_type for node in found.nodes].count("Gemm") == 4
        assert len(found.constants) == 4
        feeds = random_inputs(model, {"x": (BATCH, WIDTH), "x2": (BATCH, WIDTH)})
        values = node_by_node(found, feeds)
        for name, value in reference(model, feeds).items():
            np.testing.assert_allclose(values[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


class TestProposals:
    @pytest.mark.parametrize(
        "model",
        [dense("gemm", 128), dense("matmul", 248), conv(128, 220, 1), conv(288, 576, 9, sizes=4)],
        ids=["small Gemm", "small MatMul", "small Conv", "groups that two does not divide"],
    )
    def test_what_is_small_or_cannot_be_parted_is_left_alone(self, model: onnx.ModelProto, tmp_path: Path) -> None:
        assert list(split_wide.propose(normalised(model, tmp_path))) == []

    @pytest.mark.parametrize("model", [dense("gemm", 256), conv(128, 230, 1)], ids=["Gemm", "Conv"])
    def test_what_is_large_is_cut_in_two(self, model: onnx.ModelProto, tmp_path: Path) -> None:
        assert list(split_wide.propose(normalised(model, tmp_path))) == [{"nodes": [0], "parts": 2}]

    def test_steps_of_one_layer_are_left_alone(self, tmp_path: Path) -> None:
        graph = GraphBuilder()
        value, weight = graph.input("x", ("batch", WIDTH)), graph.weight("w", (WIDTH, WIDTH), 0.1)
        for _ in range(split_wide.MOST_READERS + 1):
            value = graph.node("Tanh", graph.node("MatMul", value, weight))
        graph.output("y", value, ("batch", WIDTH))
        assert list(split_wide.propose(normalised(graph.model("steps"), tmp_path))) == []

    @pytest.mark.parametrize(
        "parameters",
        [
            {},
            {"nodes": [0]},
            {"nodes": [0], "parts": 1},
            {"nodes": [0], "parts": "2"},
            {"nodes": [], "parts": 2},
            {"nodes": [1], "parts": 2},
            {"nodes": [0, 9], "parts": 2},
            {"nodes": [0, 0], "parts": 2},
            {"nodes": 0, "parts": 2},
            {"nodes": [0], "parts": 20},
        ],
    )
    def test_parameters_that_do_not_fit_are_refused(self, parameters: dict[str, Any], tmp_path: Path) -> None:
        graph = normalised(dense("gemm"), tmp_path)
        with pytest.raises(RewriteError, match=r"^split-wide: "):
            split_wide.apply(graph, parameters)


def test_a_real_model(models_dir: Path, tmp_path: Path) -> None:
    graph = normalised(models_dir / "nsnet2.onnx", tmp_path)
    (proposed,) = split_wide.propose(graph)
    found = split_wide.apply(graph, proposed)
    feeds = random_inputs(graph.model, {"input": (1, 20, 161)})
    values = node_by_node(found, feeds)
    for name, value in reference(models_dir / "nsnet2.onnx", feeds).items():
        np.testing.assert_allclose(values[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
