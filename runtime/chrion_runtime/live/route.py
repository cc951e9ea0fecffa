"""The way from the plans in use to others within the GPU memory: both are loaded for a moment, and that counts too."""

from collections.abc import Sequence

from chrion_api import Plan
from chrion_runtime.choice.ladder import Rung, gpu_bytes
from chrion_runtime.errors import PlanRefused


def route(held: Sequence[Plan], rungs: Sequence[Rung], to: Rung, budget: int | None) -> tuple[Rung, ...]:
    """The rungs to load one after another, the last of them `to`.

    Directly where what is held and what is loaded fit the budget together. Else through another rung that fits beside
    both, the fastest such: one that needs no GPU, if there is one, always does. Raises PlanRefused where there is none.
    """
    if _fits(held, to, budget):
        return (to,)
    for between in sorted(rungs, key=lambda rung: rung.seconds):
        if _fits(held, between, budget) and _fits(between.plans, to, budget):
            return between, to
    raise PlanRefused(
        f"plan {to.name} takes {to.gpu_bytes} bytes, or {peak(held, to)} together with the loaded plan; slo.gpuMemory "
        f"is {budget}, and there is no smaller plan to go through: raise slo.gpuMemory, or restart the server"
    )


def peak(held: Sequence[Plan], to: Rung) -> int:
    """GPU memory while plans are held and those of a rung are loaded beside them; a plan that stays counts once."""
    return gpu_bytes([*held, *(plan for plan in to.plans if plan not in held)])


def _fits(held: Sequence[Plan], to: Rung, budget: int | None) -> bool:
    """Whether the peak is within the budget, or no more than what is held anyway."""
    return budget is None or peak(held, to) <= max(budget, gpu_bytes(held))
