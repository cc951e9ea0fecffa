"""Plans made by force, to run and to compare: every node a stage of its own, or stages drawn at random."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from chrion_api import Optimization, Plan, Rewrite, Stage
from chrion_graph.graph import Graph
from chrion_graph.limits import Limits
from chrion_graph.normalise import _normalise
from chrion_graph.ort import session_options
from chrion_graph.rewrite import replay
from chrion_runtime.devices import Device, open_devices
from chrion_runtime.run.compiled_plan import compile_plan
from chrion_runtime.run.executor import Executor
from chrion_runtime.run.kernels import KernelStore
from chrion_runtime.run.lanes import Lanes
from chrion_runtime.run.loaded_plan import LoadedPlan

Arrays = dict[str, NDArray[Any]]
Cut = Sequence[tuple[Sequence[int], Sequence[str]]]
"""The nodes and the lanes of each stage."""

LANES = (("cpu/0",), ("cpu/1",))
BASIC = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
DISABLED = ort.GraphOptimizationLevel.ORT_DISABLE_ALL


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    """The model as a file of its own in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "original.onnx"
    onnx.save(model, path)
    return path


def normalised(model: onnx.ModelProto | Path, folder: Path) -> Graph:
    """The model's normalised graph; made in this process, where `normalise` takes one of its own."""
    path = model if isinstance(model, Path) else saved(model, folder)
    (folder / "normalised").mkdir(parents=True)
    _normalise(path, folder / "normalised", Limits())
    return Graph.load(folder / "normalised")


def reference(
    model: onnx.ModelProto | Path, feeds: Mapping[str, NDArray[Any]], level: ort.GraphOptimizationLevel | None = None
) -> Arrays:
    """What one session of ONNX Runtime answers: on one thread at `level`, or by default as anyone would run it."""
    options = ort.SessionOptions() if level is None else session_options(level)
    source = model if isinstance(model, Path) else model.SerializeToString()
    session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def whole(graph: Graph, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
    """What the normalised model answers in one session that optimises nothing."""
    return reference(graph.folder / "model.onnx", feeds, DISABLED)


def _condensed(graph: Graph) -> "nx.DiGraph[int]":
    dag = graph.dag({})
    dag.add_edges_from([(target, source) for source, target in graph.joined()])
    return nx.condensation(dag)


def atoms(graph: Graph) -> list[list[int]]:
    """The smallest stages in topological order: single nodes, or nodes that a value ties which is no tensor."""
    condensed = _condensed(graph)
    order = nx.lexicographical_topological_sort(condensed, key=lambda atom: min(condensed.nodes[atom]["members"]))
    return [sorted(condensed.nodes[atom]["members"]) for atom in order]


def each_node(graph: Graph, lanes: Sequence[Sequence[str]] = LANES) -> Cut:
    """A cut at every node boundary, over the lanes in turn."""
    return [(atom, lanes[index % len(lanes)]) for index, atom in enumerate(atoms(graph))]


def at_random(graph: Graph, seed: int, lanes: Sequence[Sequence[str]] = LANES) -> Cut:
    """Random slices of a random topological order, over random lanes."""
    draw = random.Random(seed)
    condensed = _condensed(graph)
    preference = {atom: draw.random() for atom in condensed}
    order = nx.lexicographical_topological_sort(condensed, key=preference.__getitem__)
    blocks = [sorted(condensed.nodes[atom]["members"]) for atom in order]
    ends = sorted({*draw.sample(range(1, len(blocks)), min(len(blocks) - 1, draw.randint(1, 6))), len(blocks)})
    return [
        ([node for block in blocks[start:end] for node in block], draw.choice(lanes))
        for start, end in zip([0, *ends], ends, strict=False)
    ]


def plan_of(
    graph: Graph, cut: Cut, optimization: Optimization = Optimization.NONE, rewrites: Sequence[Rewrite] = ()
) -> Plan:
    """A plan of these stages; their nodes are those of the graph after `rewrites`."""
    stages = tuple(
        Stage(
            nodes=tuple(nodes),
            lanes=tuple(lanes),
            optimization=optimization,
            start_seconds=index,
            finish_seconds=index + 1,
        )
        for index, (nodes, lanes) in enumerate(cut)
    )
    digest = replay(graph, rewrites).digest
    return Plan(name="forced", rewrites=tuple(rewrites), graph=digest, stages=stages, predicted_seconds=len(stages))


@contextmanager
def running(graph: Graph, plan: Plan, devices: Mapping[str, Device] | None = None) -> Iterator[Executor]:
    """An executor of the plan, over two CPU lanes unless other devices are given."""
    lanes = Lanes()
    try:
        yield Executor(LoadedPlan(compile_plan(graph, plan), devices or open_devices([], 2), KernelStore()), lanes)
    finally:
        lanes.close()


def assert_same_bits(found: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]) -> None:
    """Every output has the same bits (strings: the same text)."""
    assert list(found) == list(expected)
    for name, array in expected.items():
        value = found[name]
        assert (value.dtype, value.shape) == (array.dtype, array.shape), name
        if array.dtype == object:
            np.testing.assert_array_equal(value, array)
        else:
            assert value.tobytes() == array.tobytes(), name
