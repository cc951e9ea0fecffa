"""The frontier: of many plans those that nothing beats in both latency and GPU memory."""

from collections.abc import Callable, Sequence

from chrion_api import Plan
from chrion_planner.captures import is_captured


def pareto(plans: Sequence[Plan], beats: Callable[[Plan, Plan], bool]) -> tuple[Plan, ...]:
    """From the fastest to the smallest; a plan that takes more GPU memory must be faster for it.

    `beats` says whether one plan is to be taken instead of another: for certain faster, or as fast on fewer lanes. Of
    plans of which neither beats the other, and that take the same memory, the one that people would use without Chrion
    is kept: fewer stages, then no CUDA graphs, then no rewrites, then all lanes.
    """
    kept: list[Plan] = []
    for plan in sorted(plans, key=lambda plan: (plan.gpu_bytes.total, _strangeness(plan), plan.seconds)):
        same = [other for other in kept if other.gpu_bytes.total == plan.gpu_bytes.total]
        if all(beats(plan, other) for other in kept):
            kept = [other for other in kept if other not in same]
            kept.append(plan)
    return tuple(sorted(kept, key=lambda plan: plan.gpu_bytes.total, reverse=True))


def lanes_held(plan: Plan) -> int:
    """How many lanes the stages of a plan hold, all together."""
    return len({lane for stage in plan.stages for lane in stage.lanes})


def is_narrower(one: Plan, other: Plan) -> bool:
    """Whether one plan differs from another in holding fewer lanes alone, as far as simplicity goes."""
    alike = len(one.stages) == len(other.stages) and len(one.rewrites) == len(other.rewrites)
    return alike and one.gpu_bytes.total == other.gpu_bytes.total and lanes_held(one) < lanes_held(other)


def _strangeness(plan: Plan) -> tuple[int, bool, int, int, str]:
    return len(plan.stages), is_captured(plan), len(plan.rewrites), -lanes_held(plan), plan.name
