"""A plan made runnable: one session a stage, and which stage waits for which."""

from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx
import onnxruntime as ort

from chrion_api import Plan
from chrion_graph.cut import cut
from chrion_graph.graph import Graph
from chrion_graph.rewrite import replay
from chrion_runtime.devices import HOST, Device
from chrion_runtime.errors import PlanRefused
from chrion_runtime.sessions import SessionStore


@dataclass(frozen=True)
class StageProgram:
    """One stage, ready to run: the n-th name is what the session calls the n-th value."""

    index: int
    device: Device
    lanes: tuple[str, ...]
    session: ort.InferenceSession
    inputs: tuple[str, ...]
    input_names: tuple[str, ...]
    outputs: tuple[str, ...]
    output_names: tuple[str, ...]
    waits_for: int
    """Stages that must end before this one can start."""
    then: tuple[int, ...]
    """Stages that wait for this one."""


class Program:
    """All stages of one plan over one graph."""

    def __init__(self, graph: Graph, plan: Plan, devices: Mapping[str, Device], store: SessionStore) -> None:
        """`graph` is the normalised one, before the plan's rewrites.

        Raises PlanRefused where the plan does not fit the graph or the devices.
        """
        self.plan = plan
        self.graph = replay(graph, plan.rewrites)
        if self.graph.digest != plan.graph:
            raise PlanRefused(
                f'plan "{plan.name}" was made for graph {plan.graph[:12]}, this model gives {self.graph.digest[:12]}; '
                "plan again with these versions of Chrion and ONNX Runtime"
            )
        order = self._order(plan, self._stage_of(plan))
        self.stages = tuple(self._stage(index, plan, order, devices, store) for index in range(len(plan.stages)))
        self.reads = self._reads()
        """For each value that a stage reads from outside itself, the memories in which it is read."""
        self.memories = self._memories()
        """For each value that leaves its stage, the memories in which it is needed; answers on the host."""
        self.device_of: dict[str, Device] = {}
        """A device for each memory, the first one where several share it."""
        for device in devices.values():
            self.device_of.setdefault(device.memory, device)
        self.home = self.stages[max(order.nodes, key=lambda index: plan.stages[index].finish_seconds)].lanes[0]

    @property
    def passed_through(self) -> frozenset[str]:
        """Outputs that are inputs, which no stage makes."""
        return frozenset(self.graph.outputs.keys() & self.graph.inputs.keys())

    @property
    def lanes(self) -> tuple[str, ...]:
        """Every lane that the plan uses."""
        return tuple(dict.fromkeys(lane for stage in self.stages for lane in stage.lanes))

    def _stage_of(self, plan: Plan) -> dict[int, int]:
        stage_of: dict[int, int] = {}
        for index, stage in enumerate(plan.stages):
            for node in stage.nodes:
                if node in stage_of or node >= len(self.graph.nodes):
                    raise PlanRefused(f'plan "{plan.name}": node {node} is in two stages or not in the graph')
                stage_of[node] = index
        if len(stage_of) != len(self.graph.nodes):
            missing = min(set(range(len(self.graph.nodes))) - stage_of.keys())
            raise PlanRefused(f'plan "{plan.name}": node {missing} is in no stage')
        return stage_of

    def _order(self, plan: Plan, stage_of: dict[int, int]) -> "nx.DiGraph[int]":
        order: nx.DiGraph[int] = nx.DiGraph()
        order.add_nodes_from(range(len(plan.stages)))
        for node, names in enumerate(self.graph.reads):
            producers = {stage_of[self.graph.producer[name]] for name in names if name in self.graph.producer}
            order.add_edges_from((source, stage_of[node]) for source in producers if source != stage_of[node])
        if not nx.is_directed_acyclic_graph(order):
            raise PlanRefused(f'plan "{plan.name}": its stages wait for each other in a ring')
        return order

    def _stage(
        self,
        index: int,
        plan: Plan,
        order: "nx.DiGraph[int]",
        devices: Mapping[str, Device],
        store: SessionStore,
    ) -> StageProgram:
        stage = plan.stages[index]
        device = devices.get(stage.device)
        if device is None or not set(stage.lanes) <= set(device.lanes):
            there = ", ".join(lane for item in devices.values() for lane in item.lanes)
            raise PlanRefused(f'plan "{plan.name}": stage {index} wants {", ".join(stage.lanes)}; there are {there}')
        part = cut(self.graph, stage.nodes)
        path = part.write(self.graph.folder)
        last = {name: place for place, name in enumerate(self.graph.outputs)}
        kept = [position for position, name in enumerate(part.outputs) if self._is_read(name)]
        kept.sort(key=lambda position: last.get(part.outputs[position], len(last)))  # answers in the model's order
        # Threads that wait actively help where they are the only ones and take cores from others where they are not.
        alone = len(plan.stages) == 1
        return StageProgram(
            index=index,
            device=device,
            lanes=stage.lanes,
            session=store.get(path, device, stage.lanes, stage.optimization, spin=alone),
            inputs=part.inputs,
            input_names=tuple(value.name for value in part.model.graph.input),
            outputs=tuple(part.outputs[position] for position in kept),
            output_names=tuple(part.model.graph.output[position].name for position in kept),
            waits_for=order.in_degree(index),
            then=tuple(sorted(order.successors(index), key=lambda other: plan.stages[other].start_seconds)),
        )

    def _is_read(self, name: str) -> bool:
        return name in self.graph.consumers or name in self.graph.outputs

    def targets(self, name: str, answered: bool) -> tuple[str, ...]:
        """The memories in which a value is needed, where it is `answered` or, though an output, only read."""
        return self.memories[name] if answered else self.reads.get(name, ())

    def _reads(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, dict[str, None]] = {}
        for stage in self.stages:
            for name in stage.inputs:
                found.setdefault(name, {})[stage.device.memory] = None
        return {name: tuple(memories) for name, memories in found.items()}

    def _memories(self) -> dict[str, tuple[str, ...]]:
        answers = {name: tuple(dict.fromkeys((*self.reads.get(name, ()), HOST))) for name in self.graph.outputs}
        return {**self.reads, **answers}
