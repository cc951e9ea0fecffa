"""The ladder of a model: its frontiers as one line of choices, from the fastest to the smallest.

One process holds the plans of all buckets at once, and one objective holds over all requests. So what is chosen, and
moved between, is a rung: for a latency, in each bucket the smallest plan that meets it.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from chrion_api import HOST, SLO, Frontier, Mode, Objective, Plan, PlanFile
from chrion_runtime.choice.selection import Selection, latency, select
from chrion_runtime.engines.identity import identity
from chrion_runtime.errors import PlanRefused


@dataclass(frozen=True)
class Rung:
    """A plan for each bucket."""

    plans: tuple[Plan, ...]
    seconds: float
    """The latency expected at the objective's percentile, in the slowest bucket."""
    gpu_bytes: int
    """GPU memory of all its plans together."""

    @property
    def name(self) -> str:
        """The names of its plans."""
        return " + ".join(dict.fromkeys(plan.name for plan in self.plans))


def gpu_bytes(plans: Iterable[Plan]) -> int:
    """GPU memory of plans that are loaded side by side.

    The context is there once, and weights are shared by plans whose stages on the GPU are the same: those are the same
    kernels. Everything else adds up.
    """
    context = rest = 0
    weights: dict[object, int] = {}
    for plan in plans:
        context = max(context, plan.gpu_bytes.context)
        rest += plan.gpu_bytes.activations + plan.gpu_bytes.workspace
        shared = (
            plan.graph,
            frozenset(identity(stage, stage.nodes) for stage in plan.stages if stage.device != HOST),
        )
        weights[shared] = max(plan.gpu_bytes.weights, weights.get(shared, 0))
    return context + rest + sum(weights.values())


def ladder(frontiers: Sequence[Frontier], slo: SLO) -> tuple[Rung, ...]:
    """The rungs within the objective's GPU memory, from the fastest to the smallest.

    Raises PlanRefused where none is.
    """
    budget = slo.gpu_memory.bytes if slo.gpu_memory is not None else None
    every = {latency(plan, slo) for frontier in frontiers for plan in frontier.plans}
    found: dict[tuple[int, ...], Rung] = {}
    for target in sorted(every):
        plans = tuple(plan for frontier in frontiers if (plan := _within(frontier, slo, target, budget)) is not None)
        if len(plans) < len(frontiers):
            continue
        rung = Rung(plans, max(latency(plan, slo) for plan in plans), gpu_bytes(plans))
        if budget is None or rung.gpu_bytes <= budget:
            found.setdefault(tuple(map(id, plans)), rung)
    if not found:
        smallest = [min(frontier.plans, key=lambda plan: plan.gpu_bytes.total) for frontier in frontiers]
        raise PlanRefused(
            f"slo.gpuMemory: {slo.gpu_memory} is less than any plan needs; the smallest takes {gpu_bytes(smallest)} "
            "bytes"
        )
    return tuple(found.values())


def rung_for(rungs: Sequence[Rung], objective: Objective, without: Collection[int] = (), ratio: float = 1.0) -> int:
    """The index of the rung that the objective asks for; `ratio` is how much slower than expected plans are seen to be.

    `without` are rungs that cannot be used. Raises PlanRefused where none is left.
    """
    left = [index for index in range(len(rungs)) if index not in without]
    if not left:
        raise PlanRefused("none of the plans can be used")
    if objective.resolved is Mode.LATENCY:
        return left[0]
    target = objective.latency.seconds if objective.latency is not None else None
    meeting = [index for index in left if target is None or rungs[index].seconds * ratio <= target]
    if meeting:
        return min(meeting, key=lambda index: (rungs[index].gpu_bytes, rungs[index].seconds))
    return min(left, key=lambda index: (rungs[index].seconds, rungs[index].gpu_bytes))


def choose(plan_file: PlanFile, objective: Objective) -> tuple[Selection, ...]:
    """The plan of each bucket that the objective asks for, as they serve together.

    Raises PlanRefused where the objective's GPU memory is too little.
    """
    rungs = ladder(plan_file.buckets, objective)
    return selections(plan_file.buckets, rungs[rung_for(rungs, objective)], objective)


def selections(frontiers: Sequence[Frontier], rung: Rung, objective: Objective) -> tuple[Selection, ...]:
    """Why the objective asks for the plans of a rung, bucket by bucket."""
    found = []
    for frontier, plan in zip(frontiers, rung.plans, strict=True):
        own = select(frontier, objective, objective.mode)
        if own.plan is not plan:
            meets = objective.latency is None or latency(plan, objective) <= objective.latency.seconds
            own = Selection(plan, "the plan that serves the objective beside those of the other buckets", meets)
        found.append(own)
    return tuple(found)


def _within(frontier: Frontier, slo: SLO, target: float, budget: int | None) -> Plan | None:
    """The smallest plan that meets a latency, else the fastest, of those that fit the budget; None where none does."""
    fitting = [plan for plan in frontier.plans if budget is None or plan.gpu_bytes.total <= budget]
    meeting = [plan for plan in fitting if latency(plan, slo) <= target]
    if meeting:
        return min(meeting, key=lambda plan: (plan.gpu_bytes.total, latency(plan, slo)))
    return min(fitting, key=lambda plan: (latency(plan, slo), plan.gpu_bytes.total), default=None)
