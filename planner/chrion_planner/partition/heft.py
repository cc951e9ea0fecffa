"""HEFT, the list scheduler that places the task with the longest way to the end first.

Topcuoglu, Hariri, Wu: Performance-effective and low-complexity task scheduling for heterogeneous computing, IEEE
Transactions on Parallel and Distributed Systems 13(3), 2002. Where tasks are moldable a place with all lanes of a
device is one place more, as in M-HEFT: N'Takpé, Suter, Casanova: A comparison of scheduling approaches for
mixed-parallel applications on heterogeneous platforms, ISPDC 2007.
"""

from chrion_planner.partition.cost_tables import CostTables, Offers
from chrion_planner.partition.list_scheduler import list_schedule
from chrion_planner.partition.mean_costs import MeanCosts, upward_ranks
from chrion_planner.partition.moldable import molded
from chrion_planner.partition.problem import Problem, Schedule
from chrion_planner.partition.roles import Start


def heft(problem: Problem) -> Schedule | None:
    """Each task, the one with the longest way to the end first, at the place where it ends first.

    A wide task that ends first may keep others from running beside it, so where `problem.wide` offers anything the
    best of several schedules is taken, each with other offers left (`moldable.py`). None where a task is left with no
    device that has room for it.
    """
    tables, means = CostTables(problem), MeanCosts(problem)

    def listed(offers: Offers, limit: float) -> Schedule | None:
        return list_schedule(tables, offers, upward_ranks(means, means.tasks(offers)), limit=limit)

    return molded(problem, listed)


HEFT = Start("heft", heft)
