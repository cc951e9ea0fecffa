"""Candidate plans of one bucket: every single device, and what each algorithm makes of each rewritten graph."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import inf

from chrion_api import Optimization, Plan, Profile, Rewrite, Stage
from chrion_graph.graph import Graph
from chrion_planner.costs import Bucket, Costs, costs
from chrion_planner.memory import gpu_bytes
from chrion_planner.partition import HOST, Budget, Problem, Simulation, lower_bound, partitions
from chrion_planner.predict import predicted

MEMORY_STEPS = tuple(percent / 100 for percent in range(95, 0, -5))
"""Parts of what the whole model takes on a GPU, as budgets for the frontier's smaller plans (ε-constraint)."""
_CAREFUL_STEPS = (0.75, 0.5, 0.25, 0.1)
"""Those of them that get more effort, on the graph that is fastest without a budget: a part of the search each."""
_PART = 1 / len(_CAREFUL_STEPS)

_QUICK = 100
"""Every problem gets this part of the search at first, and no exact solver."""

PROMISING = 3
"""Problems that then get the whole effort, those with the fastest plans."""

_NEAR = 1.25
"""How many times as long as the fastest plan of all theirs may take."""

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
    """All candidate plans, no two with the same stages: a quick look at every problem, and then the promising ones.

    Raises ProfileMismatch.
    """
    cases: list[_Case] = []
    alone: list[Plan] = []
    bounds: dict[str, float] = {}
    quick = replace(budget, tasks=0, search_work=budget.search_work // _QUICK, stage_work=budget.stage_work // _QUICK)
    for variant in variants:
        alone += _single_devices(variant, profile)
        work = costs(variant.bucket, profile, Optimization.ALL)
        bounds[variant.bucket.graph.digest] = lower_bound(work.problem)
        for name, step, problem in _problems(work.problem):
            cases.append(_Case(variant, profile, work, name, step, problem))
            cases[-1].look(quick)
    fastest = min((plan.predicted_seconds for plan in alone), default=inf)
    shared = replace(budget, search_work=int(budget.search_work * _PART))
    for case in _promising(cases, fastest):
        digest = case.variant.bucket.graph.digest
        bounds[digest] = max(bounds[digest], case.look(budget if case.step is None else shared))
    plans = [*alone, *(plan for case in cases for plan in case.plans)]
    for plan in plans:
        bounds[plan.graph] = min(bounds[plan.graph], plan.predicted_seconds)
    found: dict[object, Plan] = {}
    for plan in plans:
        found.setdefault(_key(plan), plan.model_copy(update={"bound_seconds": bounds[plan.graph]}))
    return Candidates(tuple(found.values()), any(case.truncated for case in cases))


@dataclass
class _Case:
    """One problem of one graph, with the plans that were found for it."""

    variant: Rewritten
    profile: Profile
    work: Costs
    name: str
    step: float | None
    """The part of the whole model's bytes that is its budget; None without one."""
    problem: Problem
    plans: list[Plan] = field(default_factory=list)
    truncated: bool = False

    @property
    def seconds(self) -> float:
        """What the fastest plan is predicted to take; inf where there is none."""
        return min((plan.predicted_seconds for plan in self.plans), default=inf)

    def look(self, budget: Budget) -> float:
        """Find plans, in place of those found before; returns what was proved of all plans of the graph, or 0."""
        most = MOST if self.step is None else 1
        found = list(islice(partitions(self.problem, budget), most))
        self.plans = [
            _plan(f"{one.name}{self.name}", self.variant, self.profile, self.work, predicted(self.work, stages))
            for one in found
            for stages in (one.simulation.stages,)
        ]
        self.truncated = any(one.truncated for one in found)
        every_plan_counts = self.problem == replace(self.work.problem, kin=())
        return max((one.bound for one in found), default=0.0) if every_plan_counts else 0.0


def _problems(problem: Problem) -> Iterator[tuple[str, float | None, Problem]]:
    """The problem on single lanes; with wide work on all lanes; with layers kept whole; with smaller budgets.

    With each what its plans' names end in, and the step of its budget.
    """
    if len(problem.lanes) < 2:
        return
    free = replace(problem, kin=())
    yield "", None, replace(free, wide={})
    if problem.wide:
        yield "-wide", None, free
    if any(number is not None for number in problem.kin):
        yield "-layered", None, problem
    for device in problem.devices:
        if device == HOST:
            continue
        whole = problem.bytes_taken(device, range(len(problem.tasks)))
        for step in MEMORY_STEPS:
            limit = {**problem.budget, device: int(whole * step)}
            yield f"-{round(step * 100)}%-of-{device}", step, replace(free, budget=limit)


def _promising(cases: Sequence[_Case], fastest: float) -> list[_Case]:
    """The cases with the fastest plans, where those are near the fastest of all, and the first one's careful steps."""
    free = sorted((case for case in cases if case.step is None), key=lambda case: case.seconds)[:PROMISING]
    steps = [case for case in cases if case.step in _CAREFUL_STEPS and case.variant is free[0].variant]
    return [*(case for case in free if case.seconds <= _NEAR * fastest), *steps]


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
