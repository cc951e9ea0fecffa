"""What stands in the way of planning a model, or of gaining by it, and the way out."""

from collections.abc import Iterator, Sequence

import onnx

from chrion_graph.attributes import integer
from chrion_graph.load import all_nodes
from chrion_graph.recurrent import is_recurrent
from chrion_graph.types import TensorType
from chrion_planner.check.contents import type_text
from chrion_planner.check.outlook import counted
from chrion_planner.check.report import ControlFlow, LayerCheck, Obstacle


def blocking(model: onnx.ModelProto) -> tuple[Obstacle, ...]:
    """What must change in a model before it can be planned."""
    found = [
        Obstacle(
            problem=f"{side} {value.name}: {type_text(value.type)}", way_out=_tensor(model, value.type), blocks=True
        )
        for side, values in (("input", model.graph.input), ("output", model.graph.output))
        for value in values
        # A type that is left out is inferred.
        if value.type.WhichOneof("value") and TensorType.from_proto(value.type) is None
    ]
    batchwise = sum(is_recurrent(node) and integer(node, "layout", 0) == 1 for node in all_nodes(model))
    if batchwise:
        problem = f"{counted(batchwise)} with layout=1, which ONNX Runtime does not run"
        found.append(
            Obstacle(problem=problem, way_out="export with layout=0: steps first, then the batch", blocks=True)
        )
    return tuple(found)


def _tensor(model: onnx.ModelProto, kind: onnx.TypeProto) -> str:
    """How to have a tensor at the edge in place of something else."""
    if kind.WhichOneof("value") == "tensor_type":
        return "cast it at the model's edge, such as to float32"
    if any(node.op_type == "ZipMap" for node in all_nodes(model)):
        return 'export with zipmap=False (of skl2onnx: options={"zipmap": False}): probabilities are one tensor then'
    return "have the model take and give plain tensors, such as a sequence as one tensor by ConcatFromSequence"


def hindering(layers: Sequence[LayerCheck], flows: Sequence[ControlFlow], missing: str) -> Iterator[Obstacle]:
    """What keeps layers from Chrion's kernels, where something can be done; `missing` is why those are not here."""
    if missing and layers:
        yield Obstacle(problem=missing, way_out="install Chrion where there is a C compiler")
    for flow in flows:
        inside = f"{flow.operator} {flow.name}"
        # Planning inlines the Ifs that shapes decide.
        if flow.operator == "If" and not flow.decided_by:
            continue
        if count := sum(layer.inside == inside for layer in layers):
            problem = f"{counted(count)} inside {inside}{_decided(flow)}"
            yield Obstacle(problem=problem, way_out=_outside(flow))
    rounded = [layer for layer in layers if layer.weights not in ("", "float32")]
    if rounded:
        yield Obstacle(
            problem=f"{counted(len(rounded))} with {rounded[0].weights} weights: Chrion's kernels take float32",
            way_out="export those in float32, and have Chrion round them: --precision float16 or --precision int8",
        )


def _decided(flow: ControlFlow) -> str:
    return f", which the value of {' and '.join(flow.decided_by)} decides" if flow.decided_by else ""


def _outside(flow: ControlFlow) -> str:
    """How layers get out of control flow."""
    if flow.operator != "If":
        return f"export whole layers in place of the {flow.operator}: kernels of layers are outside of control flow"
    values = " ".join(f"--value {name}=…" for name in flow.decided_by)
    return f"plan with what you serve with ({values}): the branch that runs then takes the place of the If"
