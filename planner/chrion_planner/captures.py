"""CUDA graphs: stages on a GPU that are captured once and replayed, which saves launching their kernels one by one.

What is captured is replayed as it was: a length or a shape that the host read then stays what it was. So only stages
are captured in which nothing that the host reads is computed while they run, of fixed shapes, and without control flow.
ONNX Runtime's documentation of the CUDA provider (`enable_cuda_graph`) names the same limits.
"""

from collections.abc import Sequence

from onnx import TensorProto

from chrion_api import Plan, Stage
from chrion_graph.bodies import bodies
from chrion_graph.graph import Graph
from chrion_graph.recurrent import RECURRENT, direction
from chrion_runtime.devices import traits_of

_DATA_SHAPED = frozenset(("Compress", "NonMaxSuppression", "NonZero", "Unique"))
"""Nodes whose output's shape depends on what they read."""
_DATA_READERS = frozenset(("Cast", "Gather", "GatherElements", "GatherND", "Where"))
"""Nodes that read numbers that are no floats on the GPU, as indices or as data, and not on the host."""
_FLOATS = frozenset((TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE))
_SUFFIX = "-graphed"


def can_be_captured(graph: Graph, stages: Sequence[Stage]) -> bool:
    """Whether there are stages on devices where that saves much, and all of these can be captured."""
    found = [stage for stage in stages if traits_of(stage.device).costly_launches]
    return bool(found) and all(_is_static(graph, node) for stage in found for node in stage.nodes)


def captured(plan: Plan, seconds: float | None = None) -> Plan:
    """The plan with those stages as CUDA graphs, predicted to take `seconds` where given."""
    name, _, rewrites = plan.name.partition("+")
    stages = tuple(
        stage.with_options(capture=True) if traits_of(stage.device).costly_launches else stage for stage in plan.stages
    )
    if seconds is not None:
        stages = tuple(stage.model_copy(update={"finish_seconds": seconds}) for stage in stages)
    return plan.model_copy(
        update={
            "name": "+".join(filter(None, (name + _SUFFIX, rewrites))),
            "stages": stages,
            "predicted_seconds": plan.predicted_seconds if seconds is None else seconds,
        }
    )


def uncaptured_name(plan: Plan) -> str:
    """The name of the plan that a plan with CUDA graphs was made of."""
    name, _, rewrites = plan.name.partition("+")
    return "+".join(filter(None, (name.removesuffix(_SUFFIX), rewrites)))


def is_captured(plan: Plan) -> bool:
    """Whether a plan has CUDA graphs."""
    return any(stage.options.get("capture") for stage in plan.stages)


def _is_static(graph: Graph, index: int) -> bool:
    node = graph.nodes[index]
    if node.op_type in _DATA_SHAPED or any(bodies(node)):
        return False
    if node.op_type in RECURRENT and direction(node) == b"reverse":
        # ONNX Runtime copies the lengths of the sequences from the host, to turn them round.
        return False
    for name in graph.reads[index]:
        if name in graph.constants:
            continue
        kind = graph.types.get(name)
        if kind is None or (kind.element not in _FLOATS and node.op_type not in _DATA_READERS):
            return False
    return all(name in graph.types for name in graph.writes[index])
