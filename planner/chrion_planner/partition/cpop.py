"""CPOP, the list scheduler that keeps the critical path on one lane.

Topcuoglu, Hariri, Wu: Performance-effective and low-complexity task scheduling for heterogeneous computing, IEEE
Transactions on Parallel and Distributed Systems 13(3), 2002, section 4.2.
"""

from math import isclose

from chrion_planner.partition.heft import MeanCosts, upward_ranks
from chrion_planner.partition.listing import list_schedule
from chrion_planner.partition.moldable import molded
from chrion_planner.partition.problem import Budget, Place, Problem, Schedule


def cpop(problem: Problem, budget: Budget) -> Schedule | None:  # noqa: ARG001 - one signature for all algorithms
    """The task on the longest way of all first; the critical path where it takes least, others where they end first.

    Where the critical path's place cannot run one of its tasks, or is full, that task goes where it ends first. None
    where a task is left with no device that has room for it.
    """
    return molded(problem, _list_schedule)


def _list_schedule(problem: Problem) -> Schedule | None:
    up, down = upward_ranks(problem), downward_ranks(problem)
    path = critical_path(problem, [a + b for a, b in zip(up, down, strict=True)])
    if not path:
        return list_schedule(problem, up)
    home = min(problem.times, key=lambda place: problem.seconds_at(place, path))
    on_path = set(path)
    never = 1e3 * (max(up) + 1.0)

    def rest(task: int, place: Place) -> float:
        return never if task in on_path and place != home else 0.0

    return list_schedule(problem, [a + b for a, b in zip(up, down, strict=True)], rest)


def downward_ranks(problem: Problem) -> list[float]:
    """For each task the longest way to its start, in seconds, all costs being means over the lanes."""
    mean = MeanCosts.of(problem)
    ranks = [0.0] * len(problem.tasks)
    for task, read in enumerate(problem.producers):
        ways = (ranks[producer] + mean.task[producer] + mean.edge(nbytes) for producer, nbytes in read)
        ranks[task] = max(ways, default=0.0)
    return ranks


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
