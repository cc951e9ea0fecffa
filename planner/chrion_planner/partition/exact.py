"""The best schedule that can be proved, by whichever exact solver there is."""

from chrion_planner.partition import cpsat
from chrion_planner.partition.milp import milp
from chrion_planner.partition.problem import Budget, Problem, Schedule


def exact(problem: Problem, budget: Budget, first: Schedule | None = None) -> Schedule | None:
    """CP-SAT's schedule where `ortools` is installed, and the integer program's where it is not.

    Both start from `first`, or else from what local search finds. None where the problem is too large, or no schedule
    was found.
    """
    found = cpsat.cpsat(problem, budget, first) if cpsat.available() else None
    return milp(problem, budget, first) if found is None else found
