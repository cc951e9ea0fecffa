"""Each algorithm by itself, whatever its role, so that its answers can be judged."""

from chrion_planner.partition import IMPROVER, Budget, Problem, Schedule, starts
from chrion_planner.partition.roles import Algorithm, Improver, Start


def from_scratch(algorithm: Algorithm, problem: Problem, budget: Budget) -> Schedule | None:
    """What an algorithm of any role makes of a problem; what it begins with is made by those that come before it."""
    if isinstance(algorithm, Start):
        return algorithm.schedule(problem)
    first = list(starts(problem).values())
    if isinstance(algorithm, Improver):
        return algorithm.schedule(problem, budget, first)
    return algorithm.schedule(problem, budget, IMPROVER.schedule(problem, budget, first))
