"""Every partitioning algorithm, by its role: the one table that the pipeline and the tests read."""

from chrion_planner.partition.cpop import CPOP
from chrion_planner.partition.cpsat import CP_SAT
from chrion_planner.partition.heft import HEFT
from chrion_planner.partition.milp import MILP
from chrion_planner.partition.peft import PEFT
from chrion_planner.partition.problem import Budget, Problem, Schedule
from chrion_planner.partition.roles import Algorithm, Improver, Prover, Start
from chrion_planner.partition.search import SEARCH
from chrion_planner.partition.single import each_device

STARTS: tuple[Start, ...] = (HEFT, CPOP, PEFT)
IMPROVER: Improver = SEARCH
PROVERS: tuple[Prover, ...] = (CP_SAT, MILP)
"""The first one that takes a problem proves it."""

ALGORITHMS: tuple[Algorithm, ...] = (*STARTS, IMPROVER, *PROVERS)


def starts(problem: Problem) -> dict[str, Schedule]:
    """The schedules to start from, by name: every start's and every single device's, as far as there are any."""
    found = {start.name: start.schedule(problem) for start in STARTS}
    return {**{name: one for name, one in found.items() if one is not None}, **each_device(problem)}


def proved(problem: Problem, budget: Budget, first: Schedule) -> Schedule | None:
    """The schedule of the first prover that takes the problem; None where none does."""
    found = (prover.schedule(problem, budget, first) for prover in PROVERS)
    return next((schedule for schedule in found if schedule is not None), None)


def from_scratch(algorithm: Algorithm, problem: Problem, budget: Budget) -> Schedule | None:
    """What an algorithm of any role makes of a problem; what it begins with is made by those that come before it."""
    if isinstance(algorithm, Start):
        return algorithm.schedule(problem)
    first = list(starts(problem).values())
    if isinstance(algorithm, Improver):
        return algorithm.schedule(problem, budget, first)
    return algorithm.schedule(problem, budget, IMPROVER.schedule(problem, budget, first))
