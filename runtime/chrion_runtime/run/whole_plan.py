"""The plan that needs no figures: the model as it is, in one session on the CPU."""

from collections import Counter
from collections.abc import Sequence

from chrion_api import HOST, Optimization, Plan, Stage
from chrion_graph.graph import Graph


def whole_plan(graph: Graph, lanes: Sequence[str]) -> Plan:
    """All nodes of a graph in one stage on these lanes of the host, optimised as ONNX Runtime does by default."""
    stage = Stage(
        nodes=tuple(range(len(graph.nodes))),
        lanes=tuple(lanes),
        options=dict(Optimization.ALL.options),
        operators=dict(sorted(Counter(node.op_type for node in graph.nodes).items())),
    )
    name = f"{HOST}-{len(lanes)}-lane{'s' if len(lanes) > 1 else ''}"
    return Plan(name=name, graph=graph.digest, stages=(stage,), predicted_seconds=0)
