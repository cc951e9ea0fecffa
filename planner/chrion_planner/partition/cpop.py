"""CPOP, the list scheduler that keeps the critical path on one lane.

Topcuoglu, Hariri, Wu: Performance-effective and low-complexity task scheduling for heterogeneous computing, IEEE
Transactions on Parallel and Distributed Systems 13(3), 2002, section 4.2.
"""

from math import isclose

from chrion_planner.partition.cost_tables import CostTables, Offers
from chrion_planner.partition.list_scheduler import list_schedule
from chrion_planner.partition.mean_costs import MeanCosts, downward_ranks, upward_ranks
from chrion_planner.partition.moldable import molded
from chrion_planner.partition.problem import Problem, Schedule
from chrion_planner.partition.roles import Start


def cpop(problem: Problem) -> Schedule | None:
    """The task on the longest way of all first; the critical path where it takes least, others where they end first.

    Where the critical path's place cannot run one of its tasks, or is full, that task goes where it ends first. None
    where a task is left with no device that has room for it.
    """
    tables, means = CostTables(problem), MeanCosts(problem)

    def listed(offers: Offers, limit: float) -> Schedule | None:
        tasks = means.tasks(offers)
        up, down = upward_ranks(means, tasks), downward_ranks(means, tasks)
        priority = [a + b for a, b in zip(up, down, strict=True)]
        path = critical_path(problem, priority)
        home = min(offers, key=lambda place: sum(offers[place][task] for task in path), default=None)
        never, at_home = 1e3 * (max(up, default=0.0) + 1.0), [0.0] * len(priority)
        on_path = set(path)
        elsewhere = [never if task in on_path else 0.0 for task in range(len(priority))]
        rest = {place: at_home if place == home else elsewhere for place in offers}
        return list_schedule(tables, offers, priority, rest, limit)

    return molded(problem, listed)


CPOP = Start("cpop", cpop)


def critical_path(problem: Problem, priority: list[float]) -> list[int]:
    """Tasks from one without producers to one without consumers, each of the highest priority there is."""
    path: list[int] = []
    following = [task for task in range(len(priority)) if not problem.producers[task]]
    while following:
        task = max(following, key=lambda task: (priority[task], -task))
        if path and not isclose(priority[task], priority[path[0]], rel_tol=1e-9):
            break
        path.append(task)
        following = [consumer for consumer, _ in problem.consumers[task]]
    return path
