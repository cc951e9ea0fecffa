"""Predict the GPU memory of a plan, part by part. docs/planning.md says where each part is known from."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chrion_api import GpuBytes, Stage
from chrion_graph.cut import SubModel, cut
from chrion_graph.graph import Graph, Shapes
from chrion_planner.partition import HOST
from chrion_runtime.executor import SLOTS

CHUNK = 256
"""Bytes of which ONNX Runtime's arena hands out a multiple."""

PerNode = Mapping[str, Sequence[int]]
"""Bytes of each node, by device."""


@dataclass(frozen=True)
class Session:
    """Stages of one device that share a session, and so its weights, its workspace and its arena."""

    device: str
    nodes: tuple[int, ...]
    """Those of the first stage; the others' are alike."""


def gpu_bytes(
    graph: Graph,
    shapes: Shapes,
    stages: Sequence[Stage],
    node_bytes: PerNode,
    context: int,
    scratch: PerNode | None = None,
    session_bytes: Mapping[str, int] | None = None,
) -> GpuBytes:
    """Bytes on every device but the host.

    `node_bytes[device][node]` is what a node's weights take, `scratch[device][node]` what it takes while it runs
    besides its values, `session_bytes[device]` what each session takes besides, `context` what a process takes before
    it loads anything.
    """
    parts = [(stage, cut(graph, stage.nodes)) for stage in stages if stage.device != HOST]
    sessions = _sessions(parts)
    weights = sum(chunks(node_bytes[session.device][node]) for session in sessions for node in session.nodes)
    bound = {(stage.device, name) for stage, part in parts for name in (*part.inputs, *part.outputs)}
    values = sum(chunks(graph.value_bytes(name, shapes)) for _, name in bound)
    if not weights and not values:
        return GpuBytes()
    return GpuBytes(
        weights=weights,
        activations=SLOTS * values + inner_bytes(graph, shapes, stages),
        workspace=sum(_workspace(one, scratch or {}, session_bytes or {}) for one in sessions),
        context=context,
    )


def inner_bytes(graph: Graph, shapes: Shapes, stages: Sequence[Stage]) -> int:
    """The most that values inside of sessions take: each session has an arena, which keeps what a run has taken."""
    sessions = _sessions([(stage, cut(graph, stage.nodes)) for stage in stages if stage.device != HOST])
    return sum(peak_bytes(graph, shapes, session.nodes) for session in sessions)


def chunks(nbytes: int) -> int:
    """The bytes that the arena hands out for so many."""
    return -(-nbytes // CHUNK) * CHUNK


def _workspace(session: Session, scratch: PerNode, session_bytes: Mapping[str, int]) -> int:
    """What a session takes besides: its nodes run one after another, and the largest leaves room for the others."""
    each = scratch.get(session.device, ())
    return session_bytes.get(session.device, 0) + max((each[node] for node in session.nodes if each), default=0)


def _sessions(parts: Sequence[tuple[Stage, SubModel]]) -> list[Session]:
    """One for each sub-model on each lane: as the runtime shares them."""
    found: dict[object, Session] = {}
    for stage, part in parts:
        digest = hashlib.sha256(part.model.SerializeToString(deterministic=True)).digest()
        key = stage.lanes, stage.optimization, stage.cuda_graph, digest
        found.setdefault(key, Session(stage.device, stage.nodes))
    return list(found.values())


def peak_bytes(graph: Graph, shapes: Shapes, nodes: Sequence[int]) -> int:
    """The most bytes that values inside a stage take at once, each from its producer to its last consumer there."""
    order = sorted(nodes)
    inside = set(order)
    last = {}
    for node in order:
        for name in graph.reads[node]:
            if graph.producer.get(name) in inside:
                last[name] = node
    alive = peak = 0
    for node in order:
        made = [name for name in graph.writes[node] if name in last and name not in graph.outputs]
        alive += sum(chunks(graph.value_bytes(name, shapes)) for name in made)
        peak = max(peak, alive)
        ended = [name for name, end in last.items() if end == node and name not in graph.outputs]
        alive -= sum(chunks(graph.value_bytes(name, shapes)) for name in ended)
        for name in ended:
            del last[name]
    return peak
