"""The frontier: of many plans those that nothing beats in both latency and GPU memory."""

from collections.abc import Callable, Sequence

from chrion_api import Plan
from chrion_planner.captures import is_captured

CLEARLY, _JUST, _ALIKE = 0.05, 0.02, 0.01
"""Gains that count for plans with rewrites, several stages or rounded weights, and for the model as it is on other
lanes; and what a plan on fewer lanes may lose."""


def pareto(plans: Sequence[Plan], beats: Callable[[Plan, Plan], bool]) -> tuple[Plan, ...]:
    """From the fastest to the smallest; a plan that takes more GPU memory must be faster for it.

    `beats` says whether one plan is to be taken instead of another: for certain faster, or as fast on fewer lanes. Of
    plans of which neither beats the other, and that take the same memory, the one that people would use without Chrion
    is kept: no rounded weights, then fewer stages, then no CUDA graphs, then no rewrites, then all lanes.
    """
    kept: list[Plan] = []
    for plan in sorted(plans, key=lambda plan: (plan.gpu_bytes.total, _strangeness(plan), plan.seconds)):
        same = [other for other in kept if other.gpu_bytes.total == plan.gpu_bytes.total]
        if all(beats(plan, other) for other in kept):
            kept = [other for other in kept if other not in same]
            kept.append(plan)
    return tuple(sorted(kept, key=lambda plan: plan.gpu_bytes.total, reverse=True))


def margin(one: Plan, other: Plan) -> float:
    """How much faster a plan must be than a simpler one: of many candidates, some look a little faster by chance.

    On fewer lanes it need only be as fast, but that must be certain.
    """
    if is_narrower(one, other):
        return -_ALIKE
    return CLEARLY if is_elaborate(one) else _JUST


def is_elaborate(plan: Plan) -> bool:
    """Whether it is more than the model as it is on one device."""
    return bool(plan.rewrites) or len(plan.stages) > 1 or plan.rounds_weights


def is_simpler(one: Plan, other: Plan) -> bool:
    """Whether one plan is nearer than another to what people would use without Chrion."""
    return _strangeness(one) < _strangeness(other)


def is_plainer(one: Plan, other: Plan) -> bool:
    """Whether one is simpler by more than its name."""
    return _strangeness(one)[:-1] < _strangeness(other)[:-1]


def predicted_to_beat(one: Plan, other: Plan) -> bool:
    """Whether one plan is predicted to be faster than another, or as fast on fewer lanes."""
    return (one.predicted_seconds, lanes_held(one)) < (other.predicted_seconds, lanes_held(other))


def lanes_held(plan: Plan) -> int:
    """How many lanes the stages of a plan hold, all together."""
    return len({lane for stage in plan.stages for lane in stage.lanes})


def is_narrower(one: Plan, other: Plan) -> bool:
    """Whether one plan differs from another in holding fewer lanes alone, as far as simplicity goes."""
    alike = len(one.stages) == len(other.stages) and len(one.rewrites) == len(other.rewrites)
    alike = alike and one.rounds_weights == other.rounds_weights
    return alike and one.gpu_bytes.total == other.gpu_bytes.total and lanes_held(one) < lanes_held(other)


def _strangeness(plan: Plan) -> tuple[bool, int, bool, int, int, str]:
    return plan.rounds_weights, len(plan.stages), is_captured(plan), len(plan.rewrites), -lanes_held(plan), plan.name
