"""Candidate plans of one bucket: every single device, and what each algorithm makes of each rewritten graph."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from chrion_api import Optimization, Plan, Profile, Rewrite, Stage
from chrion_graph.graph import Graph
from chrion_planner.costs import Bucket, Costs, costs
from chrion_planner.memory import gpu_bytes
from chrion_planner.partition import HOST, Budget, Problem, Simulation, lower_bound, partitions
from chrion_planner.predict import predicted

MEMORY_STEPS = tuple(percent / 100 for percent in range(95, 0, -5))
"""Parts of what the whole model takes on a GPU, as budgets for the frontier's smaller plans (ε-constraint)."""
_CAREFUL_STEPS = (0.75, 0.5, 0.25, 0.1)
"""Those of them that get the whole effort; the others get a part of it and no exact solver."""
_PART = 10

MOST = 3
"""Partitions of one problem that become plans: what predicts a plan sees more than the search for it did."""


@dataclass(frozen=True)
class Rewritten:
    """A bucket of a graph that some rewrites were applied to."""

    rewrites: tuple[Rewrite, ...]
    bucket: Bucket


@dataclass(frozen=True)
class Candidates:
    """Plans with predicted latency and memory, in the order they were found; no two have the same name."""

    plans: tuple[Plan, ...]
    truncated: bool
    """True when an algorithm was stopped by the clock, so that another run may give other plans."""


def candidates(variants: Sequence[Rewritten], profile: Profile, budget: Budget) -> Candidates:
    """All candidate plans, no two with the same stages. Raises ProfileMismatch."""
    found: dict[object, Plan] = {}
    truncated = False
    for variant in variants:
        variant_plans = list(_single_devices(variant, profile))
        work = costs(variant.bucket, profile, Optimization.ALL)
        bound = lower_bound(work.problem)
        for name, problem, effort, most in _problems(work.problem, budget):
            for found_stages in islice(partitions(problem, effort), most):
                truncated |= found_stages.truncated
                stages = predicted(work, found_stages.simulation.stages)
                variant_plans.append(_plan(f"{found_stages.name}{name}", variant, profile, work, stages))
                if problem == replace(work.problem, kin=()):  # what is proved of it holds for every plan of the graph
                    bound = max(bound, found_stages.bound)
        bound = min(bound, *(plan.predicted_seconds for plan in variant_plans))
        for plan in variant_plans:
            found.setdefault(_key(plan), plan.model_copy(update={"bound_seconds": bound}))
    return Candidates(tuple(found.values()), truncated)


def _problems(problem: Problem, budget: Budget) -> Iterator[tuple[str, Problem, Budget, int]]:
    """The problem on single lanes; with wide work on all lanes; with layers kept whole; with smaller budgets.

    With each the effort that it is worth, and how many plans.
    """
    if len(problem.lanes) < 2:
        return
    free = replace(problem, kin=())
    ways = [("", replace(free, wide={}))]
    if problem.wide:
        ways.append(("-wide", free))
    if any(number is not None for number in problem.kin):
        ways.append(("-layered", problem))
    shared = replace(budget, search_work=budget.search_work // len(ways))
    for name, one in ways:
        yield name, one, shared, MOST
    quick = replace(budget, tasks=0, search_work=budget.search_work // _PART, stage_work=budget.stage_work // _PART)
    for device in problem.devices:
        if device == HOST:
            continue
        whole = problem.bytes_taken(device, range(len(problem.tasks)))
        for step in MEMORY_STEPS:
            limit = {**problem.budget, device: int(whole * step)}
            effort = budget if step in _CAREFUL_STEPS else quick
            yield f"-{round(step * 100)}%-of-{device}", replace(free, budget=limit), effort, 1


def _plan(name: str, variant: Rewritten, profile: Profile, work: Costs, simulation: Simulation) -> Plan:
    problem = work.problem
    stages = tuple(
        Stage(
            nodes=tuple(sorted(node for task in stage.tasks for node in work.members[task])),
            lanes=tuple(problem.lanes[lane].name for lane in problem.lanes_at(stage.place)),
            optimization=Optimization.ALL,
            operators=_operators(variant.bucket.graph, [node for task in stage.tasks for node in work.members[task]]),
            start_seconds=stage.start,
            finish_seconds=stage.finish,
        )
        for stage in simulation.stages
    )
    return _finished(name, variant, profile, work, stages, simulation.makespan)


def _single_devices(variant: Rewritten, profile: Profile) -> Iterator[Plan]:
    """Everything in one stage, on each device alone: on one lane and on all, with and without optimisation."""
    graph = variant.bucket.graph
    nodes = tuple(range(len(graph.nodes)))
    for device in profile.devices:
        for optimization in Optimization:
            work = costs(variant.bucket, profile, optimization)
            for count in sorted({1, device.lanes}):
                seconds = device.whole(graph.digest, variant.bucket.inputs, count, optimization)
                if seconds is None:
                    continue
                stage = Stage(
                    nodes=nodes,
                    lanes=tuple(f"{device.name}/{lane}" for lane in range(count)),
                    optimization=optimization,
                    operators=_operators(graph, nodes),
                    finish_seconds=seconds,
                )
                lanes = f"{count}-lane{'s' if count > 1 else ''}"
                name = f"{device.name}-{lanes}" + ("-plain" if optimization is Optimization.NONE else "")
                yield _finished(name, variant, profile, work, (stage,), seconds)


def _finished(
    name: str, variant: Rewritten, profile: Profile, work: Costs, stages: tuple[Stage, ...], seconds: float
) -> Plan:
    bucket = variant.bucket
    node_bytes = {
        device: _per_node(len(bucket.graph.nodes), work, device) for device in work.problem.devices if device != HOST
    }
    used = {stage.device for stage in stages}
    context = sum(device.context_bytes for device in profile.devices if device.name in used)
    return Plan(
        name="+".join((name, *map(_label, variant.rewrites))),
        rewrites=variant.rewrites,
        graph=bucket.graph.digest,
        stages=stages,
        predicted_seconds=seconds,
        gpu_bytes=gpu_bytes(bucket.graph, bucket.shapes, stages, node_bytes, context),
    )


def _label(rewrite: Rewrite) -> str:
    """The rewrite's name, with the numbers among its parameters: they tell its uses on one graph apart."""
    numbers = [str(value) for _, value in sorted(rewrite.parameters.items()) if isinstance(value, int)]
    return "-".join((rewrite.name, *numbers))


def _operators(graph: Graph, nodes: Sequence[int]) -> dict[str, int]:
    return dict(sorted(Counter(graph.nodes[node].op_type for node in nodes).items()))


def _per_node(count: int, work: Costs, device: str) -> list[int]:
    """What each node takes; a task of several nodes is counted at its first one."""
    found = [0] * count
    for task, nodes in enumerate(work.members):
        found[nodes[0]] = work.problem.memory[device][task]
    return found


def _key(plan: Plan) -> object:
    stages = tuple((stage.nodes, stage.lanes, stage.optimization) for stage in plan.stages)
    return tuple(rewrite.to_json() for rewrite in plan.rewrites), stages
