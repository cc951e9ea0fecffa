"""Rule plans out while they are measured: those that cannot be chosen any more."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

from chrion_api import Plan
from chrion_graph.equality import difference
from chrion_planner.frontier import is_simpler, margin
from chrion_planner.measuring import Arrays, Result, ratios

_CLEARLY = 1.15
"""A plan is clearly slower than another that takes its time divided by this."""
_HOPELESSLY = 1.2
"""A plan of several stages that is predicted to take so much longer than another was measured to take is not tried:
predictions of such plans are now and then too high by as much."""
_SURELY = 1.1
"""A plan of one stage is surely slower than another whose whole graph took its time divided by this in the profile."""
_SLOWER, _SLOWER_ROUNDS = 1.05, 3
"""A plan that took so much longer than a simpler one in each of so many rounds will not turn out to be faster."""
_CHANCE = 0.05
"""The chance, at most, that a plan that gains enough in half of all rounds would gain it in so few."""
_LEAST_ROUNDS = 5


def in_first(plans: Sequence[Plan]) -> list[Plan]:
    """Of the plans of one stage without rewrites those that none is surely faster than: others are judged by them."""
    bare = [plan for plan in plans if len(plan.stages) == 1 and not plan.rewrites]
    return [plan for plan in bare if not any(_is_surely_slower(plan, other) for other in bare)]


@dataclass(frozen=True)
class Elimination:
    """Rules plans out by what was measured; the first `baselines` contenders are no plans.

    A plan that has run is eliminated by one that takes no more GPU memory and was clearly faster in every round, or
    that is simpler and in nearly every round so fast that this plan would not be chosen over it. One that has not run
    is eliminated by one that the profile says is surely faster, or that was measured to be much faster than it is
    predicted to be; predictions are scaled down where the machine runs faster now than when it was profiled. Baselines
    but the first leave where they are clearly slower than that.

    Plans that round weights eliminate nothing, for in the end they may be dropped; nor do those with wrong answers:
    `expected` are the right ones, or else what the first contender answers, which then is the model itself.
    """

    plans: Sequence[Plan]
    baselines: int = 0
    expected: Arrays | None = None

    def eliminates(self, index: int, results: Sequence[Result]) -> bool:
        """Whether the results so far rule the n-th contender out."""
        own, first = results[index], results[0]
        if own.error:
            return False
        if index < self.baselines:
            return index > 0 and _is_clearly_behind(own, first)
        answers = first.outputs if self.expected is None else self.expected
        plan = self.plans[index - self.baselines]
        rivals = [
            (rival, result)
            for rival, result in zip(self.plans, results[self.baselines :], strict=True)
            if result is not own
            and any(result.rounds)
            and rival.gpu_bytes.total <= plan.gpu_bytes.total
            and not rival.rounds_weights
            and not difference(result.outputs, answers)
        ]
        if any(own.rounds):
            return any(
                _is_clearly_behind(own, result)
                or (is_simpler(rival, plan) and not result.eliminated and _gains_too_little(plan, own, rival, result))
                for rival, result in rivals
            )
        speed = min((_typical(result) / rival.predicted_seconds for rival, result in rivals), default=1.0)
        soonest = plan.predicted_seconds * min(speed, 1.0)
        return any(soonest > _CLEARLY * _typical(result) or _is_surely_slower(plan, rival) for rival, result in rivals)

    def decided(self, results: Sequence[Result]) -> bool:
        """Whether there is nothing left to tell apart: one plan is left, and was measured often enough."""
        left = [result for result in results[self.baselines :] if not (result.error or result.eliminated)]
        return len(left) < 2 and all(sum(map(bool, result.rounds)) >= _LEAST_ROUNDS for result in left)


def _is_surely_slower(plan: Plan, other: Plan) -> bool:
    """By the profile, which knows what whole graphs take, and where the other takes no more GPU memory."""
    wholes = len(plan.stages) == 1 == len(other.stages)
    smaller = other.gpu_bytes.total <= plan.gpu_bytes.total
    return wholes and smaller and plan.predicted_seconds > _SURELY * other.predicted_seconds


def _is_clearly_behind(own: Result, other: Result) -> bool:
    found = ratios(own.rounds, other.rounds)
    return len(found) > 1 and min(found) > _CLEARLY


def _gains_too_little(plan: Plan, own: Result, simpler: Plan, other: Result) -> bool:
    """Whether too few rounds say that the plan is as much faster than the simpler one as it must be."""
    found = ratios(own.rounds, other.rounds)
    if len(found) < _LEAST_ROUNDS:
        return len(found) >= _SLOWER_ROUNDS and min(found) > _SLOWER
    gains = sum(ratio <= 1 - margin(plan, simpler) for ratio in found)
    return sum(comb(len(found), few) for few in range(gains + 1)) < _CHANCE * 2.0 ** len(found)


def _typical(result: Result) -> float:
    return median(seconds for runs in result.rounds for seconds in runs)
