"""From stages to plans: what each is called, what it is predicted to take, and every device alone."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chrion_api import (
    HOST,
    ONNXRUNTIME,
    WEIGHTS,
    DeviceProfile,
    Optimization,
    Options,
    Plan,
    Profile,
    Rewrite,
    Stage,
    Whole,
    rounds_weights,
)
from chrion_graph.graph import Graph
from chrion_graph.signature import signatures
from chrion_planner.captures import can_be_captured, captured
from chrion_planner.costs import Costs, GraphBucket, costs
from chrion_planner.errors import ProfileMismatch
from chrion_planner.memory import arena_bytes, gpu_bytes, host_bytes, sessions
from chrion_planner.partition import Simulation, StagePlan, first_stages, most_on
from chrion_planner.predicted_times import predicted
from chrion_runtime.devices import traits_of
from chrion_runtime.engines import engine_named
from chrion_runtime.run.whole_plan import whole_plan

OPTIMIZED = Optimization.ALL.options
"""How the stages of a plan run before it is tuned."""


@dataclass(frozen=True)
class Rewritten:
    """A bucket of a graph that some rewrites were applied to."""

    rewrites: tuple[Rewrite, ...]
    bucket: GraphBucket


def is_profiled(variant: Rewritten, profile: Profile, devices: Sequence[str]) -> bool:
    """Whether a profile has all figures of these devices that plans of the graph are made of."""
    wanted = set(signatures(variant.bucket.graph, variant.bucket.shapes))
    known = {device.name: device for device in profile.devices}
    if not all(name in known and wanted <= known[name].nodes.keys() for name in devices):
        return False
    if not all(known[HOST].nodes[name] for name in wanted):
        return False  # some node does not run by itself
    return bool(known[HOST].wholes_of(variant.bucket.graph.digest, variant.bucket.inputs))


def unprofiled_plans(variant: Rewritten, lanes: int) -> Iterator[Plan]:
    """Everything in one stage on all lanes of the host, and on one, where no figures say what that takes."""
    for count in sorted({1, lanes}):
        yield whole_plan(variant.bucket.graph, [f"{HOST}/{lane}" for lane in range(count)])


def single_devices(variant: Rewritten, profile: Profile) -> Iterator[Plan]:
    """Everything in one stage, on each device alone: in every way in which that was measured.

    Lanes of a device that is not the host are queues, not threads that one stage could hold together.
    """
    graph = variant.bucket.graph
    nodes = tuple(range(len(graph.nodes)))
    for device in profile.devices:
        runs = device.wholes_of(graph.digest, variant.bucket.inputs)
        for run in (run for run in runs if not run.options.get("capture")):
            problem = engine_named(run.engine).refusal(run.options, device.name)
            if problem or run.lanes > device.lanes:
                why = problem or f"holds {run.lanes} of {device.lanes} lanes"
                raise ProfileMismatch(f"the profile of {device.name}: a run of a whole graph {why}; profile again")
            work = costs(variant.bucket, profile, Optimization(str(run.options.get("optimization", Optimization.NONE))))
            stage = Stage(
                nodes=nodes,
                lanes=tuple(f"{device.name}/{lane}" for lane in range(run.lanes)),
                engine=run.engine,
                options=run.options,
                operators=_operators(graph, nodes),
                finish_seconds=run.seconds,
            )
            plan = _finished(f"{device.name}-{_way(run)}", variant, profile, work, (stage,), run.seconds)
            yield plan
            if can_be_captured(graph, plan.stages):
                yield captured(plan, run.seconds * _captured_ratio(device, variant, run.options))


def _way(run: Whole) -> str:
    lanes = f"{run.lanes}-lane{'s' if run.lanes > 1 else ''}"
    if rounds_weights(run.options):
        return f"{lanes}-{run.engine}-{run.options[WEIGHTS]}".lower()
    if run.engine != ONNXRUNTIME:
        return f"{lanes}-{run.engine}"
    return lanes if "optimization" in run.options else f"{lanes}-plain"


def most_on_devices(variant: Rewritten, profile: Profile, work: Costs) -> Iterator[Plan]:
    """For each device that refuses some nodes all others on it, and those that it refuses on the host."""
    for device in profile.devices:
        schedule = most_on(work.problem, device.name) if device.name != HOST else None
        if schedule is not None:
            stages = first_stages(work.problem, schedule).stages
            yield from plans_of(f"{device.name}-most", variant, profile, work, stages)


def plans_of(
    name: str, variant: Rewritten, profile: Profile, work: Costs, stages: Sequence[StagePlan]
) -> Iterator[Plan]:
    """The plan of these stages; then the same with CUDA graphs, where its stages can be some."""
    plan = _plan(name, variant, profile, work, predicted(work, stages))
    yield plan
    if can_be_captured(variant.bucket.graph, plan.stages):
        faster = _captured_costs(work, variant, profile)
        yield captured(_plan(name, variant, profile, faster, predicted(faster, stages)))


def _captured_costs(work: Costs, variant: Rewritten, profile: Profile) -> Costs:
    """The costs where the nodes of GPUs take what they do in a CUDA graph."""
    ratios = {
        device.name: _captured_ratio(device, variant, OPTIMIZED)
        for device in profile.devices
        if traits_of(device.name).costly_launches
    }

    def scaled(seconds: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
        return {name: [one * ratios.get(name, 1.0) for one in each] for name, each in seconds.items()}

    problem = work.problem
    return replace(work, problem=replace(problem, seconds=scaled(problem.seconds), crowded=scaled(problem.crowded)))


def _captured_ratio(device: DeviceProfile, variant: Rewritten, options: Options) -> float:
    """What the whole takes as a CUDA graph over what it takes without; 1 where that was not measured."""
    of = variant.bucket.graph.digest, variant.bucket.inputs, 1
    plain, replayed = device.whole(*of, options), device.whole(*of, {**options, "capture": True})
    return min(1.0, replayed / plain) if plain and replayed else 1.0


def _plan(name: str, variant: Rewritten, profile: Profile, work: Costs, simulation: Simulation) -> Plan:
    problem = work.problem
    stages = tuple(
        Stage(
            nodes=tuple(sorted(node for task in stage.tasks for node in work.members[task])),
            lanes=tuple(problem.lanes[lane].name for lane in problem.lanes_at(stage.place)),
            **_how(work, stage),
            operators=_operators(variant.bucket.graph, [node for task in stage.tasks for node in work.members[task]]),
            start_seconds=stage.start,
            finish_seconds=stage.finish,
        )
        for stage in simulation.stages
    )
    return _finished(name, variant, profile, work, stages, simulation.makespan)


def _how(work: Costs, stage: StagePlan) -> dict[str, Any]:
    """The engine of a stage, and its options."""
    part = work.parts.get(stage.tasks[0]) if work.problem.device_at(stage.place) == HOST else None
    if part is None:
        return {"options": dict(OPTIMIZED)}
    run = part.runs[len(work.problem.lanes_at(stage.place))]
    return {"engine": part.engine, "options": dict(run.options)}


def _finished(
    name: str, variant: Rewritten, profile: Profile, work: Costs, stages: tuple[Stage, ...], seconds: float
) -> Plan:
    graph, shapes = variant.bucket.graph, variant.bucket.shapes
    used = {stage.device for stage in stages} - {HOST}
    devices = [device for device in profile.devices if device.name in used]
    costs_of = {device.name: [device.nodes[name] for name in work.names] for device in devices}
    weights = {name: [cost.bytes if cost else 0 for cost in each] for name, each in costs_of.items()}
    scratch = {name: [cost.scratch_bytes if cost else 0 for cost in each] for name, each in costs_of.items()}
    handles = {device.name: device.session_bytes for device in devices}
    context = sum(device.context_bytes for device in devices)
    loaded = sessions(graph, stages)
    taken = gpu_bytes(graph, shapes, loaded, weights, context, scratch, handles)
    arenas = [arena_bytes(graph, shapes, one, weights, scratch) for one in loaded]
    arena_of = {stage: arena for one, arena in zip(loaded, arenas, strict=True) for stage in one.stages}
    return Plan(
        name="+".join((name, *map(_label, variant.rewrites))),
        rewrites=variant.rewrites,
        graph=graph.digest,
        stages=tuple(
            stage.model_copy(update={"arena_bytes": arena_of[index]}) if index in arena_of else stage
            for index, stage in enumerate(stages)
        ),
        predicted_seconds=seconds,
        gpu_bytes=taken,
        host_bytes=host_bytes(graph, stages),
        outside_bytes=max(0, taken.total - taken.context - sum(arenas)),
    )


def _label(rewrite: Rewrite) -> str:
    """The rewrite's name, with the numbers among its parameters: they tell its uses on one graph apart."""
    numbers = [str(value) for _, value in sorted(rewrite.parameters.items()) if isinstance(value, int)]
    return "-".join((rewrite.name, *numbers))


def _operators(graph: Graph, nodes: Sequence[int]) -> dict[str, int]:
    return dict(sorted(Counter(graph.nodes[node].op_type for node in nodes).items()))
