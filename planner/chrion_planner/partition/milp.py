"""The exact makespan as a mixed integer linear program, for problems small enough to solve it."""

from dataclasses import replace
from itertools import combinations
from math import isfinite

import networkx as nx

from chrion_planner.partition.bound import lower_bound
from chrion_planner.partition.problem import Budget, Problem, Schedule
from chrion_planner.partition.roles import Prover

MAX_WIDE_CHOICES = 80
"""Tasks times places above which no program is built where a place is wide, which makes the relaxation much weaker."""


def milp(problem: Problem, budget: Budget, first: Schedule | None) -> Schedule | None:
    """The schedule of the least makespan, to one part in a million; optimal where that is proven.

    Never worse than `first`, which is its upper bound and first solution. None where there are more tasks than
    `budget.tasks`, or more pairs that nothing orders than `budget.pairs`, each of which is a decision to branch on; or
    where no schedule within the memory budget was found. All lanes of a device at once are one place more that a task
    may be at; with such a place there must not be more than MAX_WIDE_CHOICES of tasks times places. None too where
    tasks share weights, which the program does not know.
    """
    if not _takes(problem, budget):
        return None
    if first is not None and first.optimal:
        return first
    # PuLP loads HiGHS, which takes a while, and cannot be in one process with CP-SAT, which the bench solves with.
    from chrion_planner.partition import solver
    from chrion_planner.partition.program import MakespanProgram, horizon

    pairs = unordered_pairs(problem)
    program = MakespanProgram(problem, pairs, horizon(problem) if first is None else first.makespan)
    if first is not None:
        program.start_from(first)
    outcome = solver.solve(program.lp, budget)
    best = first
    if outcome.found:
        found = program.schedule()
        if not _within_budgets(problem, found):  # by a rounding of the solver's; what it proved is then not proven
            return first and replace(first, truncated=outcome.truncated)
        if best is None or found.makespan < best.makespan:
            best = found
    bound = max(lower_bound(problem), program.seconds(outcome.bound))
    return best and replace(best, optimal=outcome.optimal, truncated=outcome.truncated, bound=min(bound, best.makespan))


MILP = Prover("milp", milp)


def _takes(problem: Problem, budget: Budget) -> bool:
    if any(number is not None for number in problem.weight_groups):
        return False
    if len(problem.tasks) > budget.tasks or not all(isfinite(best) for best in problem.best_seconds):
        return False
    if any(place.wide for place in problem.times) and len(problem.tasks) * len(problem.times) > MAX_WIDE_CHOICES:
        return False
    return len(unordered_pairs(problem)) <= budget.pairs


def unordered_pairs(problem: Problem) -> list[tuple[int, int]]:
    """The pairs of tasks, the lower number first, of which neither waits for the other."""
    after = {task: nx.descendants(problem.tasks, task) for task in problem.tasks}
    return [(i, j) for i, j in combinations(range(len(problem.tasks)), 2) if j not in after[i]]


def _within_budgets(problem: Problem, schedule: Schedule) -> bool:
    def held(device: str) -> list[int]:
        return [task for task, lane in enumerate(schedule.lane) if problem.lanes[lane].device == device]

    return all(problem.within_budget(device, held(device)) for device in problem.devices)
