"""Rule plans out while they are measured: those that cannot be chosen any more."""

from collections.abc import Sequence
from statistics import median

from chrion_api import Plan
from chrion_graph.equality import difference
from chrion_planner.frontier import is_simpler, margin
from chrion_planner.measuring import Arrays, Eliminates, Result, ratios

CLEARLY = 1.15
"""A plan is clearly slower than another that takes its time divided by this."""
_SLOWER, _SLOWER_ROUNDS = 1.05, 3
"""A plan that took so much longer than a simpler one in each of so many rounds will not turn out to be faster."""
_DECIDED_ROUNDS = 5
"""Rounds in none of which a plan gained what it must over a simpler one: by chance that is one case in 32."""


def elimination(plans: Sequence[Plan], baselines: int = 0, expected: Arrays | None = None) -> Eliminates:
    """What rules contenders out; the first `baselines` of them are no plans.

    A plan that has run is eliminated by one that takes no more GPU memory and was clearly faster in every round, or
    that is simpler and in every round so fast that this plan would not be chosen over it. One that has not run is
    eliminated if its predicted time is clearly longer than what another was measured to take. Such predictions are more
    often too low than too high; they are scaled down where the machine runs faster now than when it was profiled.
    Baselines but the first leave where they are clearly slower than that. Plans with wrong answers eliminate nothing:
    `expected` are the right ones, or else what the first contender answers, which then is the model itself.
    """

    def eliminates(index: int, results: Sequence[Result]) -> bool:
        own, first = results[index], results[0]
        if own.error:
            return False
        if index < baselines:
            return index > 0 and _is_clearly_behind(own, first)
        answers = first.outputs if expected is None else expected
        plan = plans[index - baselines]
        rivals = [
            (rival, result)
            for rival, result in zip(plans, results[baselines:], strict=True)
            if result is not own
            and any(result.rounds)
            and rival.gpu_bytes.total <= plan.gpu_bytes.total
            and not difference(result.outputs, answers)
        ]
        if any(own.rounds):
            return any(
                _is_clearly_behind(own, result)
                or (is_simpler(rival, plan) and not result.eliminated and _gains_nothing(plan, own, rival, result))
                for rival, result in rivals
            )
        speed = min((_typical(result) / rival.predicted_seconds for rival, result in rivals), default=1.0)
        soonest = plan.predicted_seconds * min(speed, 1.0)
        return any(soonest > CLEARLY * _typical(result) for _, result in rivals)

    return eliminates


def _is_clearly_behind(own: Result, other: Result) -> bool:
    return min(ratios(own.rounds, other.rounds), default=0.0) > CLEARLY


def _gains_nothing(plan: Plan, own: Result, simpler: Plan, other: Result) -> bool:
    """Whether no round so far says that the plan is as much faster than the simpler one as it must be."""
    found = ratios(own.rounds, other.rounds)
    if len(found) >= _DECIDED_ROUNDS:
        return min(found) > 1 - margin(plan, simpler)
    return len(found) >= _SLOWER_ROUNDS and min(found) > _SLOWER


def _typical(result: Result) -> float:
    return median(seconds for runs in result.rounds for seconds in runs)
