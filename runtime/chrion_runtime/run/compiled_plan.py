"""A plan compiled for its graph: the sub-model files of its stages, and which stage waits for which.

Compiling replays rewrites, cuts the graph and writes files, all in Python, which holds the interpreter; the result is
plain data. So a server has plans compiled in another process, and only loads the files.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
from onnx import NodeProto

from chrion_api import Plan
from chrion_graph.cut import cut
from chrion_graph.graph import Graph
from chrion_graph.normalise import FILES
from chrion_graph.rewrite import replay
from chrion_graph.seal import damage
from chrion_graph.types import TensorType
from chrion_runtime.engines import Ports, engine_named
from chrion_runtime.errors import PlanRefused


@dataclass(frozen=True)
class StageFile:
    """One stage as a file: the n-th port is what the sub-model calls the n-th value."""

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    ports: Ports
    waits_for: int
    """Stages that must end before this one can start."""
    then: tuple[int, ...]
    """Stages that wait for this one."""
    nodes: tuple[str, ...] = ()
    """What the model calls the sub-model's nodes; what makes its first output, where it calls one nothing."""
    host_bytes: int = 0
    """What its kernel takes of the host's memory outside of arenas, by its engine's word."""


@dataclass(frozen=True)
class CompiledPlan:
    """A plan and what is needed to load it."""

    plan: Plan
    files: tuple[StageFile, ...]
    """One a stage."""
    inputs: tuple[str, ...]
    """The model's inputs."""
    outputs: tuple[str, ...]
    """The model's outputs."""
    types: dict[str, TensorType]
    """Of the values that enter or leave stages."""
    last: int
    """The stage that is planned to end last: its first lane is the plan's home."""


def compile_plan(graph: Graph, plan: Plan) -> CompiledPlan:
    """Cut the plan's stages into files beside the graph's; `graph` is the normalised one, before the plan's rewrites.

    Raises PlanRefused where the plan does not fit the graph.
    """
    rewritten = replay(graph, plan.rewrites)
    if rewritten.digest != plan.graph:
        raise PlanRefused(
            f'plan "{plan.name}" was made for graph {plan.graph[:12]}, this model gives {rewritten.digest[:12]}; '
            "plan again with these versions of Chrion and ONNX Runtime"
        )
    order = _order(rewritten, plan, _stage_of(rewritten, plan))
    files = tuple(_stage_file(rewritten, plan, index, order) for index in range(len(plan.stages)))
    crossing = {name for file in files for name in (*file.inputs, *file.outputs)}
    return CompiledPlan(
        plan=plan,
        files=files,
        inputs=tuple(rewritten.inputs),
        outputs=tuple(rewritten.outputs),
        types={name: kind for name, kind in rewritten.types.items() if name in crossing or name in rewritten.outputs},
        last=max(order.nodes, key=lambda index: plan.stages[index].finish_seconds),
    )


def compile_plans(folder: Path, plans: Iterable[Plan]) -> tuple[CompiledPlan, ...]:
    """Compile several plans of the normalised model in `folder`; what a child process is asked for.

    Raises PlanRefused where one does not fit, or where the folder was damaged since it was written.
    """
    if problem := damage(folder, FILES):
        raise PlanRefused(f"{folder}: is damaged: {problem}; it is made again when the model is next loaded")
    graph = Graph.load(folder)
    return tuple(compile_plan(graph, plan) for plan in plans)


def _stage_of(graph: Graph, plan: Plan) -> dict[int, int]:
    stage_of: dict[int, int] = {}
    for index, stage in enumerate(plan.stages):
        for node in stage.nodes:
            if node in stage_of or node >= len(graph.nodes):
                raise PlanRefused(f'plan "{plan.name}": node {node} is in two stages or not in the graph')
            stage_of[node] = index
    if len(stage_of) != len(graph.nodes):
        missing = min(set(range(len(graph.nodes))) - stage_of.keys())
        raise PlanRefused(f'plan "{plan.name}": node {missing} is in no stage')
    return stage_of


def _order(graph: Graph, plan: Plan, stage_of: dict[int, int]) -> "nx.DiGraph[int]":
    order: nx.DiGraph[int] = nx.DiGraph()
    order.add_nodes_from(range(len(plan.stages)))
    for node, names in enumerate(graph.reads):
        producers = {stage_of[graph.producer[name]] for name in names if name in graph.producer}
        order.add_edges_from((source, stage_of[node]) for source in producers if source != stage_of[node])
    if not nx.is_directed_acyclic_graph(order):
        raise PlanRefused(f'plan "{plan.name}": its stages wait for each other in a circle')
    return order


def _stage_file(graph: Graph, plan: Plan, index: int, order: "nx.DiGraph[int]") -> StageFile:
    stage = plan.stages[index]
    found = cut(graph, stage.nodes)
    last = {name: place for place, name in enumerate(graph.outputs)}
    kept = [place for place, name in enumerate(found.outputs) if name in graph.consumers or name in graph.outputs]
    kept.sort(key=lambda place: last.get(found.outputs[place], len(last)))  # answers in the model's order
    return StageFile(
        path=found.write(graph.folder),
        inputs=found.inputs,
        outputs=tuple(found.outputs[place] for place in kept),
        ports=Ports(
            tuple(value.name for value in found.model.graph.input),
            tuple(found.model.graph.output[place].name for place in kept),
        ),
        waits_for=order.in_degree(index),
        then=tuple(sorted(order.successors(index), key=lambda other: plan.stages[other].start_seconds)),
        nodes=tuple(_called(graph.nodes[node]) for node in sorted(stage.nodes)),
        host_bytes=engine_named(stage.engine).bytes(graph, stage.nodes, stage.device, stage.options).host,
    )


def _called(node: NodeProto) -> str:
    return node.name or next(filter(None, node.output), "")
