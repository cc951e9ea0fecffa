"""Who is not worth being measured any more: plans that are clearly behind others which take no more GPU memory."""

from collections.abc import Sequence
from statistics import median

from chrion_api import Plan
from chrion_graph.equality import difference
from chrion_planner.measuring import Hopeless, Result, ratios

BEHIND = 1.15
"""How many times as long as another a plan must take in every round to leave, or be expected to take not to come."""


def prospects(plans: Sequence[Plan], first: int) -> Hopeless:
    """Whether a contender is hopeless; the `first` ones, which are no plans, never are.

    A plan that has run is, where in every round some other took clearly less. One that has not, where clearly more is
    predicted of it than another was measured to take: such predictions are too low more often than too high. They are
    scaled by the speed at which the machine runs now, as far as it is faster than when it was profiled. Plans that
    answer wrongly count for nothing: the first contender is the model itself.
    """

    def hopeless(index: int, results: Sequence[Result]) -> bool:
        if index < first or results[index].error:
            return False
        plan, own = plans[index - first], results[index]
        rivals = [
            (rival, result)
            for rival, result in zip(plans, results[first:], strict=True)
            if result is not own
            and any(result.rounds)
            and rival.gpu_bytes.total <= plan.gpu_bytes.total
            and _is_sound(result, results[0])
        ]
        if any(own.rounds):
            return any(min(ratios(own.rounds, result.rounds), default=0.0) > BEHIND for _, result in rivals)
        speed = min((_typical(result) / rival.predicted_seconds for rival, result in rivals), default=1.0)
        expected = plan.predicted_seconds * min(speed, 1.0)
        return any(expected > BEHIND * _typical(result) for _, result in rivals)

    return hopeless


def _is_sound(result: Result, model: Result) -> bool:
    return not difference(result.outputs, model.outputs)


def _typical(result: Result) -> float:
    return median(seconds for runs in result.rounds for seconds in runs)
