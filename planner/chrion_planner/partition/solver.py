"""Solving a linear program with integers the same way every time: one thread, a fixed seed, nodes counted."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

import pulp

from chrion_planner.partition.problem import Budget

GAP = 1e-7
"""The part of the objective within which a solution counts as proven optimal."""


NEARLY = 0.9
"""The part of its time after which CBC is taken to have been ended by the clock."""


@dataclass(frozen=True)
class Outcome:
    """How solving ended; the variables hold the solution where one was found."""

    found: bool
    optimal: bool
    truncated: bool
    """The clock, not the count of nodes, ended it."""
    bound: float = 0.0
    """What the objective was proved not to be below."""


class _Highs(pulp.HiGHS):  # type: ignore[misc]
    """PuLP's HiGHS, which starts from the variables' values and knows what a limit on nodes is."""

    def callSolver(self, lp: Any) -> None:  # noqa: N802 - PuLP's name
        import highspy

        start = highspy.HighsSolution()
        start.col_value = [variable.varValue or 0.0 for variable in lp.variables()]
        lp.solverModel.setSolution(start)
        lp.solverModel.run()

    def findSolutionValues(self, lp: Any) -> tuple[int, int]:  # noqa: N802 - PuLP's name
        import highspy

        self.status = lp.solverModel.getModelStatus()
        self.bound = lp.solverModel.getInfo().mip_dual_bound
        self.found = lp.solverModel.getInfo().primal_solution_status == highspy.kSolutionStatusFeasible
        if self.found:
            values = lp.solverModel.getSolution().col_value
            for index, variable in enumerate(lp.variables()):
                variable.varValue = values[index]
        return pulp.LpStatusOptimal if self.found else pulp.LpStatusNotSolved, pulp.LpSolutionIntegerFeasible


def highs(program: Any, budget: Budget) -> Outcome:
    """Solves with HiGHS, starting from the variables' values."""
    import highspy

    solver = _Highs(
        msg=False,
        gapRel=GAP,
        gapAbs=0.0,
        threads=1,
        timeLimit=budget.seconds,
        parallel="off",
        random_seed=0,
        mip_max_nodes=budget.solver_nodes,
    )
    program.solve(solver)
    status = highspy.HighsModelStatus
    bound = solver.bound if isfinite(solver.bound) else 0.0
    return Outcome(solver.found, solver.status == status.kOptimal, solver.status == status.kTimeLimit, bound)


def cbc(program: Any, budget: Budget) -> Outcome:
    """Solves with the CBC that PuLP brings, starting from the variables' values."""
    solver = pulp.COIN_CMD(
        path=pulp.PULP_CBC_CMD.pulp_cbc_path,
        msg=False,
        gapRel=GAP,
        threads=1,
        timeLimit=budget.seconds,
        maxNodes=budget.solver_nodes,
        warmStart=True,
        options=["randomSeed 1", "randomCbcSeed 1"],
    )
    began = time.monotonic()
    program.solve(solver)
    optimal = program.sol_status == pulp.LpSolutionOptimal
    found = optimal or program.sol_status == pulp.LpSolutionIntegerFeasible
    proven = optimal or program.status == pulp.LpStatusInfeasible
    # CBC's answer does not say which limit ended it, and it ends a little before its time.
    return Outcome(found, optimal, not proven and time.monotonic() - began >= NEARLY * budget.seconds)


def default() -> Callable[[Any, Budget], Outcome]:
    """HiGHS, or CBC where HiGHS cannot be imported."""
    return highs if pulp.HiGHS(msg=False).available() else cbc
