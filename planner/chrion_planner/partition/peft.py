"""PEFT, the list scheduler that looks ahead by a table of what is still to come.

Arabnejad, Barbosa: List scheduling algorithm for heterogeneous systems by an optimistic cost table, IEEE Transactions
on Parallel and Distributed Systems 25(3), 2014.
"""

from math import inf, isfinite

from chrion_planner.partition.heft import MeanCosts
from chrion_planner.partition.listing import list_schedule
from chrion_planner.partition.moldable import molded
from chrion_planner.partition.problem import Budget, Problem, Schedule


def peft(problem: Problem, budget: Budget) -> Schedule | None:  # noqa: ARG001 - one signature for all algorithms
    """Each task where its end and the shortest way from there on are least; the task with the longest such way first.

    None where a task is left with no device that has room for it.
    """
    return molded(problem, _list_schedule)


def _list_schedule(problem: Problem) -> Schedule | None:
    table = optimistic_costs(problem)
    index = {place: column for column, place in enumerate(problem.times)}
    means = [sum(finite) / len(finite) if (finite := [c for c in row if isfinite(c)]) else 0.0 for row in table]

    return list_schedule(problem, means, lambda task, place: table[task][index[place]])


def optimistic_costs(problem: Problem) -> list[list[float]]:
    """For each task and place the longest way from its end to the end of all, each consumer at its best place.

    In seconds, with copies at their mean cost where a consumer is on another lane; inf where the task, or one that
    comes after it, can run nowhere.
    """
    mean = MeanCosts.of(problem)
    places = list(problem.times.items())
    table = [[0.0] * len(places) for _ in range(len(problem.tasks))]
    for task in reversed(range(len(table))):
        row = table[task]
        for consumer, nbytes in problem.consumers[task]:
            ahead = [way + times[consumer] for way, (_, times) in zip(table[consumer], places, strict=True)]
            elsewhere = min(ahead, default=inf) + mean.edge(nbytes)
            for column, (place, _) in enumerate(places):
                here = min(
                    (way for way, (other, _) in zip(ahead, places, strict=True) if other.lane == place.lane),
                    default=inf,
                )
                row[column] = max(row[column], min(here, elsewhere))
    return table
