"""Solving a linear program with integers by HiGHS, the same way every time: one thread, a fixed seed, nodes counted."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

import highspy
import pulp

from chrion_planner.partition.problem import Budget

GAP = 1e-7
"""The part of the objective within which a solution counts as proven optimal."""


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
        start = highspy.HighsSolution()
        start.col_value = [variable.varValue or 0.0 for variable in lp.variables()]
        lp.solverModel.setSolution(start)
        lp.solverModel.run()

    def findSolutionValues(self, lp: Any) -> tuple[int, int]:  # noqa: N802 - PuLP's name
        self.status = lp.solverModel.getModelStatus()
        self.bound = lp.solverModel.getInfo().mip_dual_bound
        self.found = lp.solverModel.getInfo().primal_solution_status == highspy.kSolutionStatusFeasible
        if self.found:
            values = lp.solverModel.getSolution().col_value
            for index, variable in enumerate(lp.variables()):
                variable.varValue = values[index]
        return pulp.LpStatusOptimal if self.found else pulp.LpStatusNotSolved, pulp.LpSolutionIntegerFeasible


def solve(program: Any, budget: Budget) -> Outcome:
    """Solves with HiGHS, starting from the variables' values."""
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
