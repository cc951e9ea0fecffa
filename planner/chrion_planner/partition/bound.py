"""What no schedule can beat: a lower bound on the makespan."""

from math import inf

from chrion_planner.partition.problem import Problem


def heads(problem: Problem) -> list[float]:
    """For each task the longest way to its start, in seconds: best places, no waiting, no copies."""
    head = [0.0] * len(problem.tasks)
    for task in range(len(head)):
        head[task] = max((head[p] + problem.best_seconds[p] for p, _ in problem.producers[task]), default=0.0)
    return head


def tails(problem: Problem) -> list[float]:
    """For each task the longest way from its finish to the end, in seconds: best places, no waiting, no copies."""
    tail = [0.0] * len(problem.tasks)
    for task in reversed(range(len(tail))):
        tail[task] = max((tail[s] + problem.best_seconds[s] for s, _ in problem.consumers[task]), default=0.0)
    return tail


def lower_bound(problem: Problem) -> float:
    """Seconds that every schedule takes: the critical path, or all work shared evenly by the lanes.

    Each task counts with the place where it takes least: in the path its time, in the work its time on every lane that
    it holds. Copies and hand-offs count nothing. inf where no device can run some task.
    """
    path = max((head + best for head, best in zip(heads(problem), problem.best_seconds, strict=True)), default=0.0)
    held = [(len(problem.lanes_at(place)), problem.times[place]) for place in problem.kinds]
    work = (min((lanes * times[task] for lanes, times in held), default=inf) for task in range(len(problem.tasks)))
    return max(path, sum(work) / max(len(problem.lanes), 1))
