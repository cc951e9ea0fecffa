"""Check a model before it is planned: what is in it, what would run where, whether planning is likely to gain, and what
stands in the way. Nothing is run or measured."""

from collections import Counter
from pathlib import Path

import onnx

from chrion_api import HOST
from chrion_graph.graph import Graph
from chrion_planner.check.asking import inputs_to_tell
from chrion_planner.check.contents import contents, control_flow
from chrion_planner.check.layers import layers
from chrion_planner.check.obstacles import blocking, hindering
from chrion_planner.check.outlook import outlook
from chrion_planner.check.report import ModelCheck, Outlook
from chrion_planner.check.rolling import rolled
from chrion_runtime.engines import engine_named

__all__ = ["ModelCheck", "blocking", "check", "check_blocked"]


def check(path: Path, model: onnx.ModelProto, graph: Graph, missing: str = "") -> ModelCheck:
    """Check a model by its file's content and its normalised graph; `missing` is why Chrion's kernels are not here."""
    forms = rolled(graph)
    found = layers(forms.graph, forms.made, bool(missing))
    stacks = [] if missing else engine_named("recurrent").claims(forms.graph, HOST)
    taken = {index for stack in stacks for index in stack}
    left = Counter(node.op_type for index, node in enumerate(forms.graph.nodes) if index not in taken)
    in_ifs = sum(layer.inside.startswith("If ") for layer in found)
    verdict, reasons = outlook(forms, stacks, in_ifs, sum(bool(layer.inside) for layer in found) - in_ifs)
    asked = inputs_to_tell(graph)
    flows = control_flow(graph.model.graph)
    return ModelCheck(
        model=str(path),
        contents=contents(model),
        layers=found,
        onnxruntime=dict(left.most_common()),
        outlook=verdict,
        reasons=reasons,
        obstacles=(*hindering(found, flows, missing), *asked.obstacles()),
        command=asked.command(path),
    )


def check_blocked(path: Path, model: onnx.ModelProto) -> ModelCheck:
    """Check a model that must be changed before it can be planned, as `blocking` says.

    What would run where is not said: ONNX Runtime has not found its graph to be sound.
    """
    return ModelCheck(
        model=str(path),
        contents=contents(model),
        layers=(),
        onnxruntime={},
        outlook=Outlook.BLOCKED,
        reasons=(),
        obstacles=blocking(model),
    )
