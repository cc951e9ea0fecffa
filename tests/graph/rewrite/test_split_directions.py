"""Splitting the directions of recurrent layers changes no bit of any output, whatever options the layers use."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from chrion_api import Rewrite
from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.observe import evaluate
from chrion_graph.rewrite import replay, split_directions
from chrion_models.families.stack import GATES, Kind
from tests.support.partition import BASIC, Arrays, assert_same_bits, normalised, reference

STEPS, BATCH, INPUTS, HIDDEN = 7, 3, 5, 4
OUTPUTS = {"LSTM": ("Y", "Y_h", "Y_c"), "GRU": ("Y", "Y_h"), "RNN": ("Y", "Y_h")}
KINDS = pytest.mark.parametrize("kind", GATES)


@dataclass
class Layer:
    """One bidirectional layer under construction, as the node's inputs by position; "" is one left out."""

    kind: Kind
    names: list[str]
    attributes: dict[str, Any]
    arrays: Arrays
    fed: set[str]
    outputs: list[str]
    opset: int = 17

    def model(self) -> onnx.ModelProto:
        while not self.names[-1]:
            self.names.pop()
        node = helper.make_node(
            self.kind, self.names, self.outputs, hidden_size=HIDDEN, direction="bidirectional", **self.attributes
        )
        graph = helper.make_graph(
            [node],
            "layer",
            [
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
                for name, array in self.arrays.items()
                if name in self.fed
            ],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in self.outputs if name],
            [numpy_helper.from_array(array, name) for name, array in self.arrays.items() if name not in self.fed],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)

    @property
    def feeds(self) -> Arrays:
        return {name: array for name, array in self.arrays.items() if name in self.fed}


def layer(kind: Kind) -> Layer:
    random, gates = np.random.default_rng(3), GATES[kind] * HIDDEN

    def floats(*shape: int) -> NDArray[Any]:
        return random.standard_normal(shape).astype(np.float32)

    arrays = {
        "X": floats(STEPS, BATCH, INPUTS),
        "W": floats(2, gates, INPUTS),
        "R": floats(2, gates, HIDDEN),
        "B": floats(2, 2 * gates),
        "lengths": np.array([7, 2, 5], dtype=np.int32),
        "h": floats(2, BATCH, HIDDEN),
        "c": floats(2, BATCH, HIDDEN),
        "P": floats(2, 3 * HIDDEN),
    }
    return Layer(kind, ["X", "W", "R", "", "", "", "", ""], {}, arrays, {"X"}, list(OUTPUTS[kind]))


def with_lengths(layer: Layer) -> None:
    layer.names[4] = "lengths"
    layer.fed.add("lengths")


def with_states(layer: Layer) -> None:
    layer.names[5] = "h"
    layer.fed.add("h")
    if layer.kind == "LSTM":
        layer.names[6] = "c"
        layer.fed.add("c")


def with_bias(layer: Layer) -> None:
    layer.names[3] = "B"


def with_weights_as_inputs(layer: Layer) -> None:
    with_bias(layer)
    layer.fed |= {"W", "R", "B"}


def with_constant_states(layer: Layer) -> None:
    with_states(layer)
    layer.fed -= {"h", "c"}


def with_peepholes(layer: Layer) -> None:
    with_bias(layer)
    if layer.kind == "LSTM":
        layer.names[7] = "P"


def with_everything(layer: Layer) -> None:
    with_peepholes(layer)
    with_states(layer)
    with_lengths(layer)


def with_clip(layer: Layer) -> None:
    layer.attributes["clip"] = 0.3


def with_activations(layer: Layer) -> None:
    per_direction = {"LSTM": 3, "GRU": 2, "RNN": 1}[layer.kind]
    layer.attributes["activations"] = ["Sigmoid", "Tanh", "Relu"][:per_direction] + ["Tanh", "Sigmoid", "Tanh"][
        :per_direction
    ]


def with_reset_before(layer: Layer) -> None:
    with_bias(layer)
    if layer.kind == "GRU":
        layer.attributes["linear_before_reset"] = 1


def with_input_forget(layer: Layer) -> None:
    with_bias(layer)
    if layer.kind == "LSTM":
        layer.attributes["input_forget"] = 1


def with_sequence_only(layer: Layer) -> None:
    layer.outputs[1:] = []


def with_final_state_only(layer: Layer) -> None:
    layer.outputs[0] = ""


OPTIONS: list[Callable[[Layer], None]] = [
    with_bias,
    with_lengths,
    with_states,
    with_constant_states,
    with_weights_as_inputs,
    with_peepholes,
    with_everything,
    with_clip,
    with_activations,
    with_reset_before,
    with_input_forget,
    with_sequence_only,
    with_final_state_only,
]


def split(graph: Graph) -> Graph:
    (parameters,) = split_directions.propose(graph)
    return replay(graph, [Rewrite(name="split-directions", parameters=dict(parameters))])


def check(layer: Layer, folder: Path) -> Graph:
    graph = normalised(layer.model(), folder)
    rewritten = split(graph)
    kinds = [node.op_type for node in rewritten.nodes]
    assert kinds.count(layer.kind) == 2
    assert b"bidirectional" not in b"".join(a.s for node in rewritten.nodes for a in node.attribute)
    found = evaluate(rewritten, layer.feeds, rewritten.outputs.keys())
    expected = reference(folder / "original.onnx", layer.feeds, BASIC)
    assert_same_bits({name: found[name] for name in expected}, expected)
    # What the rewrite declares of its values is what they are.
    there = evaluate(rewritten, layer.feeds, rewritten.types.keys() - rewritten.inputs.keys())
    for name, array in there.items():
        kind = rewritten.types[name]
        assert kind.dtype == array.dtype
        assert kind.shape is None or all(
            not isinstance(axis, int) or axis == size for axis, size in zip(kind.shape, array.shape, strict=True)
        )
    return rewritten


@KINDS
@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.__name__.removeprefix("with_"))
def test_no_bit_changes(kind: Kind, option: Callable[[Layer], None], tmp_path: Path) -> None:
    made = layer(kind)
    option(made)
    check(made, tmp_path)


@KINDS
@pytest.mark.parametrize("opset", range(7, 23))
def test_every_opset(kind: Kind, opset: int, tmp_path: Path) -> None:
    made = layer(kind)
    with_everything(made)
    made.opset = opset
    check(made, tmp_path)


@KINDS
def test_weights_are_halved_and_not_kept_twice(kind: Kind, tmp_path: Path) -> None:
    made = layer(kind)
    with_bias(made)
    graph = normalised(made.model(), tmp_path)
    rewritten = split(graph)
    assert sum(rewritten.constant_bytes(index) for index in range(len(rewritten.nodes))) == graph.constant_bytes(0)
    assert len(rewritten.constants) == 2 * len(graph.constants)


def test_large_weights_stay_in_their_file(tmp_path: Path) -> None:
    made = layer("LSTM")
    with_bias(made)
    rewritten = check(made, tmp_path)
    external = [tensor for tensor in rewritten.constants.values() if tensor.external_data]
    assert {tensor.name for tensor in external} == {
        f"{name}/{side}" for name in ("W", "R", "B") for side in ("forward", "reverse")
    }


def test_layers_that_share_weights_share_the_halves(tmp_path: Path) -> None:
    made = layer("GRU")
    with_bias(made)
    with_weights_as_inputs(made)
    model = made.model()
    other = onnx.NodeProto()
    other.CopyFrom(model.graph.node[0])
    other.output[:] = ["Z", "Z_h"]
    model.graph.node.append(other)
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("Z", "Z_h"))
    # Normalising merges nodes that do the same.
    other.attribute.append(helper.make_attribute("linear_before_reset", 1))
    model.graph.node[1].CopyFrom(other)
    graph = normalised(model, tmp_path)
    rewritten = split(graph)
    assert [node.op_type for node in rewritten.nodes].count("Split") == 3
    found = evaluate(rewritten, made.feeds, rewritten.outputs.keys())
    expected = reference(tmp_path / "original.onnx", made.feeds, BASIC)
    assert_same_bits({name: found[name] for name in expected}, expected)


def test_a_weight_that_a_body_reads_is_kept(tmp_path: Path) -> None:
    made = layer("RNN")
    model = made.model()
    body = helper.make_graph(
        [helper.make_node("ReduceSum", ["W"], ["t"], keepdims=0)],
        "yes",
        [],
        [helper.make_tensor_value_info("t", TensorProto.FLOAT, [])],
    )
    other = helper.make_graph(
        [helper.make_node("ReduceMax", ["X"], ["e"], keepdims=0)],
        "no",
        [],
        [helper.make_tensor_value_info("e", TensorProto.FLOAT, [])],
    )
    model.graph.node.append(helper.make_node("If", ["flag"], ["chosen"], then_branch=body, else_branch=other))
    model.graph.input.append(helper.make_tensor_value_info("flag", TensorProto.BOOL, []))
    model.graph.output.append(helper.make_tensor_value_info("chosen", TensorProto.FLOAT, []))
    rewritten = split(normalised(model, tmp_path))
    feeds = {**made.feeds, "flag": np.array(True)}
    found = evaluate(rewritten, feeds, rewritten.outputs.keys())
    expected = reference(tmp_path / "original.onnx", feeds, BASIC)
    assert_same_bits({name: found[name] for name in expected}, expected)


def test_leaves_alone_what_it_cannot_tell_apart(tmp_path: Path) -> None:
    # Which activation an alpha belongs to follows from the whole list.
    made = layer("RNN")
    made.attributes |= {
        "activations": ["LeakyRelu", "Affine"],
        "activation_alpha": [0.1, 0.2],
        "activation_beta": [0.5],
    }
    assert not list(split_directions.propose(normalised(made.model(), tmp_path)))


@pytest.mark.parametrize("parameters", [{}, {"nodes": [0, 99]}, {"nodes": "0"}, {"nodes": [-1]}, {"nodes": [1.5]}])
def test_refuses_parameters_that_do_not_fit(parameters: dict[str, Any], tmp_path: Path) -> None:
    graph = normalised(layer("LSTM").model(), tmp_path)
    with pytest.raises(RewriteError, match=r"split-directions: nodes .* are not bidirectional"):
        replay(graph, [Rewrite(name="split-directions", parameters=parameters)])


def test_refuses_a_rewrite_that_it_does_not_know(tmp_path: Path) -> None:
    graph = normalised(layer("LSTM").model(), tmp_path)
    with pytest.raises(RewriteError, match=r'rewrite "fold-time" is unknown; this version has .*split-directions'):
        replay(graph, [Rewrite(name="fold-time")])
