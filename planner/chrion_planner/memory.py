"""Predict the GPU memory of a plan, part by part. docs/planning.md says where each part is known from."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chrion_api import HOST, GpuBytes, Stage, WeightFormat
from chrion_graph.cut import SubModel, cut
from chrion_graph.graph import Graph, Shapes
from chrion_graph.types import tensor_bytes
from chrion_runtime.engines.identity import identity
from chrion_runtime.run.executor import SLOTS

CHUNK = 256
"""Bytes of which ONNX Runtime's arena hands out a multiple."""

PerNode = Mapping[str, Sequence[int]]
"""Bytes of each node, by device."""


@dataclass(frozen=True)
class SharedSession:
    """Stages of one device that share a session, and so its weights, its workspace and its arena."""

    device: str
    nodes: tuple[int, ...]
    """Those of the first stage; the others' are alike."""
    stages: tuple[int, ...]
    """The stages' numbers in the plan."""
    reads: tuple[str, ...]
    """The values that its stages are given."""
    makes: tuple[str, ...]
    """The values that its stages leave."""


def sessions(graph: Graph, stages: Sequence[Stage]) -> tuple[SharedSession, ...]:
    """The sessions on every device but the host: one for each sub-model on each lane, as the runtime shares them."""
    found: dict[object, list[tuple[int, SubModel]]] = {}
    for index, stage in enumerate(stages):
        if stage.device != HOST:
            sub_model = cut(graph, stage.nodes)
            digest = hashlib.sha256(sub_model.model.SerializeToString(deterministic=True)).digest()
            found.setdefault(identity(stage, digest), []).append((index, sub_model))
    return tuple(
        SharedSession(
            stages[alike[0][0]].device,
            stages[alike[0][0]].nodes,
            tuple(index for index, _ in alike),
            tuple(name for _, sub_model in alike for name in sub_model.inputs),
            tuple(name for _, sub_model in alike for name in sub_model.outputs),
        )
        for alike in found.values()
    )


def gpu_bytes(
    graph: Graph,
    shapes: Shapes,
    loaded: Sequence[SharedSession],
    node_bytes: PerNode,
    context: int,
    scratch: PerNode | None = None,
    session_bytes: Mapping[str, int] | None = None,
) -> GpuBytes:
    """Bytes of sessions that are loaded.

    `node_bytes[device][node]` is what a node's weights take, `scratch[device][node]` what it takes while it runs
    besides its values, `session_bytes[device]` what each session takes besides, `context` what a process takes before
    it loads anything.
    """
    weights = sum(_weights(one, node_bytes) for one in loaded)
    bound = {(one.device, name) for one in loaded for name in (*one.reads, *one.makes)}
    values = sum(chunks(graph.value_bytes(name, shapes)) for _, name in bound)
    if not weights and not values:
        return GpuBytes()
    handles = session_bytes or {}
    return GpuBytes(
        weights=weights,
        activations=SLOTS * values + inner_bytes(graph, shapes, loaded),
        workspace=sum(handles.get(one.device, 0) + _scratch(one, scratch or {}) for one in loaded),
        context=context,
    )


def host_bytes(graph: Graph, stages: Sequence[Stage]) -> int:
    """Bytes of the weights that stages on the host read: each engine has them once in each form that it keeps."""
    read = {
        (stage.engine, WeightFormat.of(stage.options), name)
        for stage in stages
        if stage.device == HOST
        for node in stage.nodes
        for name in graph.reads[node]
        if name in graph.constants
    }
    return sum(kept.bytes * _constant_bytes(graph, name) // WeightFormat.FLOAT32.bytes for _, kept, name in read)


def _constant_bytes(graph: Graph, name: str) -> int:
    tensor = graph.constants[name]
    return tensor_bytes(tensor.data_type, tuple(tensor.dims))


def arena_bytes(graph: Graph, shapes: Shapes, session: SharedSession, node_bytes: PerNode, scratch: PerNode) -> int:
    """The most that a session asks its arena for, with values that it is not given but makes room for.

    That is how it runs first, when nobody knows yet what to bind.
    """
    made = sum(chunks(graph.value_bytes(name, shapes)) for name in session.makes)
    inner = inner_bytes(graph, shapes, [session])
    return _weights(session, node_bytes) + inner + made + chunks(_scratch(session, scratch))


def inner_bytes(graph: Graph, shapes: Shapes, loaded: Sequence[SharedSession]) -> int:
    """The most that values inside of sessions take: each session has an arena, which keeps what a run has taken."""
    return sum(peak_bytes(graph, shapes, one.nodes) for one in loaded)


def chunks(nbytes: int) -> int:
    """The bytes that the arena hands out for so many."""
    return -(-nbytes // CHUNK) * CHUNK


def _weights(session: SharedSession, node_bytes: PerNode) -> int:
    return sum(chunks(node_bytes[session.device][node]) for node in session.nodes)


def _scratch(session: SharedSession, scratch: PerNode) -> int:
    """Its nodes run one after another, and the largest leaves room for the others."""
    each = scratch.get(session.device, ())
    return max((each[node] for node in session.nodes if each), default=0)


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
