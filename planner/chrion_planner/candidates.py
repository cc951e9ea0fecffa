"""Candidate plans of one bucket: every single device, and what each algorithm makes of each rewritten graph."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import inf

from chrion_api import Optimization, Plan, Profile
from chrion_planner.costs import Costs, costs
from chrion_planner.partition import HOST, Budget, Problem, lower_bound, partitions
from chrion_planner.plans import Rewritten, most_on_devices, plans_of, single_devices

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
        work = costs(variant.bucket, profile, Optimization.ALL)
        alone += [*single_devices(variant, profile), *most_on_devices(variant, profile, work)]
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
            plan
            for one in found
            for plan in plans_of(f"{one.name}{self.name}", self.variant, self.profile, self.work, one.simulation.stages)
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


def _key(plan: Plan) -> object:
    stages = tuple((stage.nodes, stage.lanes, stage.optimization, stage.cuda_graph) for stage in plan.stages)
    return tuple(rewrite.to_json() for rewrite in plan.rewrites), stages
