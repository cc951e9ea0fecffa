"""PEFT, the list scheduler that looks ahead by a table of what is still to come.

Arabnejad, Barbosa: List scheduling algorithm for heterogeneous systems by an optimistic cost table, IEEE Transactions
on Parallel and Distributed Systems 25(3), 2014.
"""

from math import inf

from chrion_planner.partition.cost_tables import CostTables, Offers
from chrion_planner.partition.list_scheduler import list_schedule
from chrion_planner.partition.mean_costs import MeanCosts
from chrion_planner.partition.moldable import molded
from chrion_planner.partition.problem import Problem, Schedule
from chrion_planner.partition.roles import Start


def peft(problem: Problem) -> Schedule | None:
    """Each task where its end and the shortest way from there on are least; the task with the longest such way first.

    None where a task is left with no device that has room for it.
    """
    tables, means = CostTables(problem), MeanCosts(problem)

    def listed(offers: Offers, limit: float) -> Schedule | None:
        table = optimistic_costs(means, offers)
        priority = [sum(finite) / len(finite) if (finite := [c for c in row if c < inf]) else 0.0 for row in table]
        rest = {place: [row[column] for row in table] for column, place in enumerate(offers)}
        return list_schedule(tables, offers, priority, rest, limit)

    return molded(problem, listed)


PEFT = Start("peft", peft)


def optimistic_costs(means: MeanCosts, offers: Offers) -> list[list[float]]:
    """For each task and place the longest way from its end to the end of all, each consumer at its best place.

    In seconds, with copies at their mean cost where a consumer is on another lane; inf where the task, or one that
    comes after it, can run nowhere.
    """
    columns = range(len(offers))
    lanes = [place.lane for place in offers]
    same_lane = [[other for other in columns if lanes[other] == lane] for lane in lanes]
    table: list[list[float]] = [[]] * len(means.consumers)
    # For each task the shortest way from its start on, from each lane without a copy; and from the best of all lanes.
    near: list[list[float]] = [[]] * len(table)
    least = [inf] * len(table)
    for task in reversed(range(len(table))):
        row = [0.0] * len(offers)
        for consumer, edge in means.consumers[task]:
            elsewhere = least[consumer] + edge
            for column, here in enumerate(near[consumer]):
                way = here if here < elsewhere else elsewhere
                if way > row[column]:
                    row[column] = way
        table[task] = row
        ahead = [way + times[task] for way, times in zip(row, offers.values(), strict=True)]
        near[task] = [min([ahead[other] for other in same_lane[column]]) for column in columns]
        least[task] = min(ahead, default=inf)
    return table
