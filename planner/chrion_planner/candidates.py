"""Candidate plans of one bucket: every single device, and what each algorithm makes of each rewritten graph."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import inf

from chrion_api import HOST, WEIGHTS, Optimization, Plan, Profile, rounds_weights
from chrion_graph.rewrite import keeps_layers
from chrion_planner.costs import Costs, Part, costs, parts_of
from chrion_planner.partition import Budget, Problem, lower_bound, partitions
from chrion_planner.plans import Rewritten, most_on_devices, plans_of, single_devices
from chrion_runtime.engines.identity import identity

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

_GAIN = 0.02
"""What they must be able to gain on the fastest plan, as their lower bound says; predictions are farther off."""

MOST = 3
"""Partitions of one problem that become plans: what predicts a plan sees more than the search for it did."""


@dataclass(frozen=True)
class Candidates:
    """Plans with predicted latency and memory, in the order they were found; no two have the same name."""

    plans: tuple[Plan, ...]
    truncated: bool
    """True when an algorithm was stopped by the clock, so that another run may give other plans."""


def candidates(variants: Sequence[Rewritten], profile: Profile, budget: Budget, deadline: float = inf) -> Candidates:
    """All candidate plans, no two with the same stages: a quick look at every problem, and then the promising ones.

    After `deadline` (of `time.monotonic`) no problem is looked at any more. Raises ProfileMismatch.
    """
    late = False

    def in_time() -> bool:
        nonlocal late
        late = late or time.monotonic() > deadline
        return not late

    quick = replace(budget, tasks=0, search_work=budget.search_work // _QUICK, stage_work=budget.stage_work // _QUICK)
    searches = [search for variant in variants for search in _searches(variant, profile)]
    for search in searches:
        if in_time():
            search.look(quick)
    known = [plan for search in searches for plan in search.plans]
    for search in sorted(searches, key=lambda search: search.seconds):
        if in_time():
            search.descend(quick, known)
    fastest = min((plan.predicted_seconds for search in searches for plan in search.alone), default=inf)
    shared = replace(budget, search_work=int(budget.search_work * _PART))
    for case in filter(lambda _: in_time(), _promising(searches, fastest)):
        case.search.bound = max(case.search.bound, case.look(budget if case.device == HOST else shared))
    found: dict[object, Plan] = {}
    for search in searches:
        same = [other for other in searches if other.variant is search.variant]
        bound = min(
            [other.bound for other in same] + [plan.predicted_seconds for other in same for plan in other.plans]
        )
        for plan in search.plans:
            found.setdefault(_key(plan), plan.model_copy(update={"bound_seconds": bound}))
    return Candidates(
        tuple(found.values()), late or any(case.truncated for search in searches for case in search.cases)
    )


@dataclass(eq=False)
class _Case:
    """One problem of one graph, with the plans that were found for it."""

    search: "_GraphSearch"
    name: str
    """What its plans' names end in."""
    problem: Problem
    device: str = HOST
    """The GPU whose memory has a budget; the host where none has."""
    step: float = 1.0
    """The part of the whole model's bytes that is the budget."""
    plans: list[Plan] = field(default_factory=list)
    truncated: bool = False

    @property
    def seconds(self) -> float:
        """What the fastest plan is predicted to take; inf where there is none."""
        return min((plan.predicted_seconds for plan in self.plans), default=inf)

    def look(self, budget: Budget) -> float:
        """Find plans, in place of those found before; returns what was proved of all plans of the graph, or 0."""
        search = self.search
        found = list(islice(partitions(self.problem, budget), MOST if self.device == HOST else 1))
        self.plans = [
            plan
            for one in found
            for plan in plans_of(
                f"{one.name}{self.name}", search.variant, search.profile, search.work, one.simulation.stages
            )
        ]
        self.truncated = any(one.truncated for one in found)
        every_plan_counts = self.problem == _free(search.work)
        return max((one.bound for one in found), default=0.0) if every_plan_counts else 0.0


class _GraphSearch:
    """The search for plans of one rewritten graph."""

    def __init__(self, variant: Rewritten, profile: Profile, parts: Sequence[Part] = ()) -> None:
        """With `parts`, each of those is one task, and there are no plans of each device alone."""
        self.variant = variant
        self.profile = profile
        self.work = costs(variant.bucket, profile, Optimization.ALL, parts)
        self.alone: list[Plan] = []
        """The plans of each device alone."""
        if not parts:
            self.alone += [*single_devices(variant, profile), *most_on_devices(variant, profile, self.work)]
        self.cases: list[_Case] = []
        self.bound = lower_bound(self.work.problem)
        """Seconds that are proved of all plans of the graph."""

    @property
    def plans(self) -> list[Plan]:
        """Those found so far."""
        return [*self.alone, *(plan for case in self.cases for plan in case.plans)]

    @property
    def seconds(self) -> float:
        """What the fastest plan is predicted to take; inf where there is none."""
        return min((plan.predicted_seconds for plan in self.plans), default=inf)

    def look(self, budget: Budget) -> None:
        """Find plans without regard to GPU memory."""
        for name, problem in _problems(self.work):
            self.cases.append(_Case(self, name, problem))
            self.cases[-1].look(budget)

    def descend(self, budget: Budget, known: list[Plan]) -> None:
        """Find plans within smaller and smaller budgets of GPU memory; they are added to the plans that are known.

        A step is left out where what was found last keeps its budget too, or where a plan is known that is as fast as
        any of this graph and keeps even the budget of the step after it: there is nothing new to be found.
        """
        problem = self.work.problem
        for device in problem.devices if self.cases else ():
            if device == HOST:
                continue
            whole = problem.bytes_taken(device, range(len(problem.tasks)))
            limits = [int(whole * step) for step in MEMORY_STEPS]
            last = min(self.plans, key=_predicted, default=None)
            for step, limit, smaller in zip(MEMORY_STEPS, limits, [*limits[1:], 0], strict=True):
                kept = last is not None and last.gpu_bytes.weights <= limit
                if not kept and not any(_is_as_good(plan, self.seconds, smaller) for plan in known):
                    limited = replace(_free(self.work), budget={**problem.budget, device: limit})
                    case = _Case(self, f"-{round(step * 100)}%-of-{device}{_engines(self.work)}", limited, device, step)
                    case.look(budget)
                    self.cases.append(case)
                    known += case.plans
                    last = min(case.plans, key=_predicted, default=last)

    def careful(self) -> list[_Case]:
        """The cases of `_CAREFUL_STEPS` again, for more effort; of one that was left out that of the step before it.

        What the quick look found stays beside what they find: it may be smaller, and later steps were left out for it.
        """
        found = []
        for device in self.work.problem.devices:
            if device == HOST:
                continue
            steps = [case for case in self.cases if case.device == device]
            covering = [next((c for c in reversed(steps) if c.step >= step), None) for step in _CAREFUL_STEPS]
            found += [replace(case, name=f"{case.name}-searched", plans=[]) for case in dict.fromkeys(covering) if case]
        self.cases += found
        return found


def _searches(variant: Rewritten, profile: Profile) -> Iterator[_GraphSearch]:
    """By ONNX Runtime alone, and with the parts that other engines are faster at: exactly, and with rounded weights."""
    yield _GraphSearch(variant, profile)
    if keeps_layers(variant.rewrites):
        exact, rounded = (parts_of(variant.bucket, profile, rounded=rounded) for rounded in (False, True))
        for parts in (exact, rounded) if rounded != exact else (exact,):
            if parts:
                yield _GraphSearch(variant, profile, parts)


def _free(work: Costs) -> Problem:
    """The problem without groups of tasks that read the same weights, but for parts, which are stages of their own."""
    groups = tuple(task if task in work.parts else None for task in range(len(work.members))) if work.parts else ()
    return replace(work.problem, weight_groups=groups)


def _engines(work: Costs) -> str:
    """The engines of its parts, and as what those keep weights, as the end of a plan's name."""
    parts = work.parts.values()
    rounded = {
        str(run.options[WEIGHTS]).lower() for part in parts for run in part.runs.values() if rounds_weights(run.options)
    }
    return "".join(f"-{name}" for name in (*sorted({part.engine for part in parts}), *sorted(rounded)))


def _problems(work: Costs) -> Iterator[tuple[str, Problem]]:
    """The problem on single lanes; with wide work on all lanes; with layers kept whole.

    With each what its plans' names end in.
    """
    problem, free, engines = work.problem, _free(work), _engines(work)
    if len(problem.lanes) < 2 and not work.parts:
        return
    yield engines, replace(free, wide={})
    if problem.wide and len(problem.lanes) > 1:
        yield f"-wide{engines}", free
    if problem.weight_groups != free.weight_groups and any(number is not None for number in problem.weight_groups):
        yield f"-layered{engines}", problem


def _promising(searches: Sequence[_GraphSearch], fastest: float) -> list[_Case]:
    """The cases with the fastest plans, where those are near the fastest of all and could gain on it, and the first
    one's careful steps."""
    best = min((search.seconds for search in searches), default=inf)
    free = [case for search in searches for case in search.cases if case.device == HOST]
    free = sorted(free, key=lambda case: case.seconds)[:PROMISING]
    careful = free[0].search.careful() if free else []
    near = [case for case in free if case.seconds <= _NEAR * fastest]
    return [*(case for case in near if lower_bound(case.problem) * (1 + _GAIN) <= best), *careful]


def _predicted(plan: Plan) -> float:
    return plan.predicted_seconds


def _is_as_good(plan: Plan, seconds: float, nbytes: int) -> bool:
    """Whether a plan takes no longer than so many seconds, and no more than so many bytes besides the context."""
    return plan.predicted_seconds <= seconds and plan.gpu_bytes.total - plan.gpu_bytes.context <= nbytes


def _key(plan: Plan) -> object:
    stages = tuple(identity(stage, (stage.nodes, stage.lanes)) for stage in plan.stages)
    return tuple(rewrite.to_json() for rewrite in plan.rewrites), stages
