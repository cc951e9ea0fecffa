"""Rule plans out while they are measured: those clearly slower than others that take no more GPU memory."""

from collections.abc import Sequence
from statistics import median

from chrion_api import Plan
from chrion_graph.equality import difference
from chrion_planner.measuring import Eliminates, Result, ratios

CLEARLY = 1.15
"""A plan is clearly slower than another that takes its time divided by this."""


def elimination(plans: Sequence[Plan], baselines: int) -> Eliminates:
    """What rules contenders out; the first `baselines` of them, which are no plans, always stay.

    A plan that has run is eliminated if some other was clearly faster in every round; one that has not run, if its
    predicted time is clearly longer than what another was measured to take. Such predictions are more often too low
    than too high; they are scaled down where the machine runs faster now than when it was profiled. Plans with wrong
    answers eliminate nothing: the first contender is the model itself.
    """

    def eliminates(index: int, results: Sequence[Result]) -> bool:
        if index < baselines or results[index].error:
            return False
        plan, own = plans[index - baselines], results[index]
        rivals = [
            (rival, result)
            for rival, result in zip(plans, results[baselines:], strict=True)
            if result is not own
            and any(result.rounds)
            and rival.gpu_bytes.total <= plan.gpu_bytes.total
            and _is_sound(result, results[0])
        ]
        if any(own.rounds):
            return any(min(ratios(own.rounds, result.rounds), default=0.0) > CLEARLY for _, result in rivals)
        speed = min((_typical(result) / rival.predicted_seconds for rival, result in rivals), default=1.0)
        expected = plan.predicted_seconds * min(speed, 1.0)
        return any(expected > CLEARLY * _typical(result) for _, result in rivals)

    return eliminates


def _is_sound(result: Result, model: Result) -> bool:
    return not difference(result.outputs, model.outputs)


def _typical(result: Result) -> float:
    return median(seconds for runs in result.rounds for seconds in runs)
