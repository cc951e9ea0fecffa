"""Choose a plan from a frontier: what the objective and the mode ask for."""

from dataclasses import dataclass

from chrion_api import SLO, Frontier, Mode, Plan
from chrion_runtime.errors import PlanRefused


@dataclass(frozen=True)
class Selection:
    """The plan that serves, and why."""

    plan: Plan
    reason: str
    meets_slo: bool


def latency(plan: Plan, slo: SLO) -> float:
    """Seconds at the objective's percentile: measured, else predicted."""
    return plan.measured.at(slo.percentile) if plan.measured else plan.predicted_seconds


def select(frontier: Frontier, slo: SLO, mode: Mode) -> Selection:
    """The plan of a frontier for an objective.

    GPU memory is a hard budget, latency a soft target: where no plan meets the target, the one with the least
    excess within the budget serves. Raises PlanRefused where no plan fits the budget.
    """
    budget = slo.gpu_memory.bytes if slo.gpu_memory is not None else None
    fitting = [plan for plan in frontier.plans if budget is None or plan.gpu_bytes.total <= budget]
    if not fitting:
        least = min(plan.gpu_bytes.total for plan in frontier.plans)
        raise PlanRefused(
            f"slo.gpuMemory: {slo.gpu_memory} is less than any plan needs; the smallest takes {least} bytes"
        )
    target = slo.latency.seconds if slo.latency is not None else None
    fastest = min(fitting, key=lambda plan: (latency(plan, slo), plan.gpu_bytes.total))
    meeting = [plan for plan in fitting if target is None or latency(plan, slo) <= target]
    if not meeting:
        excess = latency(fastest, slo) - (target or 0.0)
        reason = f"no plan meets {slo.latency} at p{slo.percentile:g}; the nearest misses it by {excess * 1e3:.3f} ms"
        return Selection(fastest, reason, False)
    if mode.resolve(slo) is Mode.LATENCY:
        return Selection(
            fastest,
            "the fastest plan" + (f" within {slo.gpu_memory} of GPU memory" if budget is not None else ""),
            True,
        )
    smallest = min(meeting, key=lambda plan: (plan.gpu_bytes.total, latency(plan, slo)))
    within = f" that meets {slo.latency} at p{slo.percentile:g}" if target else ""
    return Selection(smallest, f"the plan with the least GPU memory{within}", True)
