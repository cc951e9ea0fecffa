"""Small stacks of recurrent layers in which everything that an exporter may write can be set."""

from collections.abc import Callable
from typing import Any

import numpy.typing as npt
import onnx
from onnx import TensorProto

from chrion_models.families.graph import GraphBuilder
from chrion_models.families.stack import GATES, Kind, state_names
from chrion_models.inputs import random_inputs

HIDDEN = 8
Arrays = dict[str, npt.NDArray[Any]]


def layers(
    kind: Kind,
    direction: str = "forward",
    depth: int = 2,
    steps: int | str = "seq",
    batch: int | str = "batch",
    glue: Callable[[GraphBuilder, str], str] | None = None,
    initial: str = "",
    given: tuple[str, ...] = ("y", "states"),
    tap: bool = False,
    inputs: dict[int, str] | None = None,
    **attributes: Any,
) -> onnx.ModelProto:
    """A stack of width HIDDEN; `given` says which outputs the model has, `tap` gives out the lowest layer's steps too.

    `initial` is "input" or "constant"; `inputs` has more of the nodes' inputs, by position.
    """
    graph = GraphBuilder()
    value = graph.input("x", (steps, batch, HIDDEN))
    for name in (inputs or {}).values():
        if name == "lengths":
            graph.input(name, (batch,), TensorProto.INT32)
        else:
            graph.weight(name, (1, 3 * HIDDEN), 0.5)
    for layer in range(depth):
        reads = [value, *_weights(graph, kind, layer), "", *_initial_states(graph, kind, layer, initial, batch), "", ""]
        for position, name in (inputs or {}).items():
            reads[position] = name
        sequence, *states = graph.nodes(
            kind, reads, 1 + len(state_names(kind)), hidden_size=HIDDEN, direction=direction, **attributes
        )
        if "states" in given or (layer == depth - 1 and "last" in given):
            for letter, state in zip(state_names(kind), states, strict=True):
                graph.output(f"{letter}_out{layer}", state, (1, batch, HIDDEN))
        if tap and layer < depth - 1:
            graph.output(f"tap{layer}", graph.node("Tanh", sequence), (steps, 1, batch, HIDDEN))
        value = glue(graph, sequence) if glue else graph.node("Squeeze", sequence, graph.constant(1))
    if "y" in given:
        graph.output("y", graph.node("Tanh", value), (steps, batch, HIDDEN))
    return graph.model("layers")


def _weights(graph: GraphBuilder, kind: Kind, layer: int) -> list[str]:
    rows = GATES[kind] * HIDDEN
    shapes = (("W", (1, rows, HIDDEN)), ("R", (1, rows, HIDDEN)), ("B", (1, 2 * rows)))
    return [graph.weight(f"{role}{layer}", shape, 0.5) for role, shape in shapes]


def _initial_states(graph: GraphBuilder, kind: Kind, layer: int, initial: str, batch: int | str) -> list[str]:
    names = [f"{letter}{layer}" for letter in state_names(kind)]
    if initial == "input":
        return [graph.input(name, (1, batch, HIDDEN)) for name in names]
    if initial == "constant":
        assert isinstance(batch, int)
        return [graph.weight(name, (1, batch, HIDDEN), 1.0) for name in names]
    return [""] * len(names)


def older(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The model in the operators of an older opset, as far as `layers` uses them."""
    for node in model.graph.node:
        if node.op_type == "Squeeze" and opset < 13:  # when axes were an attribute
            del node.input[1:]
            node.attribute.append(onnx.helper.make_attribute("axes", [1]))
    model.opset_import[0].version = opset
    return model


def feeds_of(model: onnx.ModelProto, steps: int, batch: int = 1, seed: int = 0) -> Arrays:
    """Random inputs of so many steps and sequences."""
    sizes = {"seq": steps, "batch": batch}
    shapes = {
        value.name: tuple(sizes.get(dim.dim_param, dim.dim_value) for dim in value.type.tensor_type.shape.dim)
        for value in model.graph.input
    }
    return random_inputs(model, shapes, {}, seed)
