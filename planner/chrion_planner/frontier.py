"""The frontier: of many plans those that nothing beats in both latency and GPU memory."""

from collections.abc import Callable, Sequence

from chrion_api import Plan


def pareto(plans: Sequence[Plan], faster: Callable[[Plan, Plan], bool]) -> tuple[Plan, ...]:
    """From the fastest to the smallest; a plan that takes more GPU memory must be faster for it.

    `faster` says whether one plan beats another for certain. Of plans that cannot be told apart, and take the same
    memory, the simpler one is kept: fewer stages, then fewer lanes, then no rewrites.
    """
    kept: list[Plan] = []
    for plan in sorted(plans, key=lambda plan: (plan.gpu_bytes.total, _complexity(plan), plan.seconds)):
        same = [other for other in kept if other.gpu_bytes.total == plan.gpu_bytes.total]
        if all(faster(plan, other) for other in kept):
            kept = [other for other in kept if other not in same]
            kept.append(plan)
    return tuple(sorted(kept, key=lambda plan: plan.gpu_bytes.total, reverse=True))


def _complexity(plan: Plan) -> tuple[int, int, int, str]:
    lanes = {lane for stage in plan.stages for lane in stage.lanes}
    return len(plan.stages), len(lanes), len(plan.rewrites), plan.name
