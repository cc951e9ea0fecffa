"""Every partitioning algorithm, by its role: the one table that pipeline, tests and bench read."""

from chrion_planner.partition.cpop import CPOP
from chrion_planner.partition.heft import HEFT
from chrion_planner.partition.milp import MILP
from chrion_planner.partition.peft import PEFT
from chrion_planner.partition.problem import Problem, Schedule
from chrion_planner.partition.roles import Algorithm, Improver, Prover, Start
from chrion_planner.partition.search import SEARCH
from chrion_planner.partition.single import each_device

STARTS: tuple[Start, ...] = (HEFT, CPOP, PEFT)
IMPROVER: Improver = SEARCH
PROVER: Prover = MILP

ALGORITHMS: tuple[Algorithm, ...] = (*STARTS, IMPROVER, PROVER)


def starts(problem: Problem) -> dict[str, Schedule]:
    """The schedules to start from, by name: every start's and every single device's, as far as there are any."""
    found = {start.name: start.schedule(problem) for start in STARTS}
    return {**{name: one for name, one in found.items() if one is not None}, **each_device(problem)}
