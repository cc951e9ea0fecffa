"""The list schedulers give what their papers say of their own examples."""

import random
from bisect import bisect_right
from dataclasses import replace
from types import SimpleNamespace

import networkx as nx
import pytest

from chrion_oracles.rules import validate_schedule
from chrion_planner.partition import Problem, list_scheduler
from chrion_planner.partition.cpop import cpop, critical_path
from chrion_planner.partition.heft import heft
from chrion_planner.partition.mean_costs import MeanCosts, downward_ranks, upward_ranks
from chrion_planner.partition.peft import optimistic_costs, peft


@pytest.fixture
def ahead(build: SimpleNamespace) -> Problem:
    """The example of the PEFT paper (Arabnejad, Barbosa 2014): 10 tasks on 3 processors."""
    rows = """22 21 36; 22 18 18; 32 27 43; 7 10 4; 29 27 35; 26 17 24; 14 25 30; 29 23 36; 15 21 8; 13 16 33"""
    costs = [[float(cost) for cost in row.split()] for row in rows.split(";")]
    edges = """1 2 17, 1 3 31, 1 4 29, 1 5 13, 1 6 7, 2 8 3, 2 9 30, 3 7 16, 4 8 11, 4 9 7, 5 9 57, 6 8 5,
        7 10 9, 8 10 42, 9 10 7"""
    graph: nx.DiGraph[int] = nx.DiGraph()
    for edge in edges.split(","):
        producer, consumer, nbytes = map(int, edge.split())
        graph.add_edge(producer - 1, consumer - 1, bytes=nbytes)
    return replace(build.published(), tasks=graph, seconds={f"p{i + 1}": [row[i] for row in costs] for i in range(3)})


def test_cpop_gives_what_its_paper_says(build: SimpleNamespace) -> None:
    problem = build.published()
    means = MeanCosts(problem)
    tasks = means.tasks(problem.times)
    ranks = zip(upward_ranks(means, tasks), downward_ranks(means, tasks), strict=True)
    path = critical_path(problem, [a + b for a, b in ranks])
    schedule = cpop(problem)
    assert schedule is not None
    validate_schedule(problem, schedule)
    assert path == [0, 1, 8, 9]
    assert {schedule.lane[task] for task in path} == {1}
    assert schedule.makespan == pytest.approx(86)


def test_peft_looks_as_far_ahead_as_its_paper(ahead: Problem) -> None:
    assert optimistic_costs(MeanCosts(ahead), ahead.times) == [
        [64, 68, 86],
        [42, 39, 42],
        [27, 41, 43],
        [42, 39, 50],
        [28, 37, 28],
        [42, 39, 44],
        [13, 16, 22],
        [13, 16, 33],
        [13, 16, 20],
        [0, 0, 0],
    ]


def test_peft_gives_what_its_paper_says(ahead: Problem) -> None:
    schedule, other = peft(ahead), heft(ahead)
    assert schedule is not None
    assert other is not None
    validate_schedule(ahead, schedule)
    assert schedule.makespan == pytest.approx(122)
    assert other.makespan == pytest.approx(133)


@pytest.mark.parametrize("block", [2, 3, 32])
def test_no_gap_is_passed_over(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_scheduler, "BLOCK", block)
    for seed in range(20):
        choose = random.Random(seed)
        queue = list_scheduler.Queue()
        for number in range(400):
            ready = choose.choice((choose.uniform(0, number), choose.uniform(0, 200), float(choose.randrange(100))))
            seconds = choose.choice((choose.uniform(0, 3), 0.0, float(choose.randrange(4)), 0.1, 20.0))
            slot = queue.slot(ready, seconds)
            assert slot == first_gap(queue, ready, seconds)
            queue.insert(*slot, slot[1] + seconds)
            assert queue.starts == sorted(queue.starts)
            assert all(finish < start for finish, start in zip(queue.finishes, queue.starts[1:], strict=False))


def first_gap(queue: list_scheduler.Queue, ready: float, seconds: float) -> tuple[int, float]:
    """What `queue.slot` finds, each gap looked at."""
    position = bisect_right(queue.starts, ready)
    start = max(ready, queue.finishes[position - 1]) if position else ready
    while position < len(queue.starts) and start + seconds > queue.starts[position]:
        start = queue.finishes[position]
        position += 1
    return position, start
