"""What no schedule can beat: a lower bound on the makespan."""

from chrion_planner.partition.problem import Problem


def heads(problem: Problem) -> list[float]:
    """For each task the longest way to its start, in seconds: best devices, no waiting, no copies."""
    head = [0.0] * len(problem.tasks)
    for task in range(len(head)):
        head[task] = max((head[p] + problem.best_seconds[p] for p in problem.tasks.pred[task]), default=0.0)
    return head


def tails(problem: Problem) -> list[float]:
    """For each task the longest way from its finish to the end, in seconds: best devices, no waiting, no copies."""
    tail = [0.0] * len(problem.tasks)
    for task in reversed(range(len(tail))):
        tail[task] = max((tail[s] + problem.best_seconds[s] for s in problem.tasks.succ[task]), default=0.0)
    return tail


def lower_bound(problem: Problem) -> float:
    """Seconds that every schedule takes: the critical path, or all work shared evenly by the lanes.

    Each task counts with the device that is fastest for it; copies and hand-offs count nothing. inf where no device
    can run some task.
    """
    path = max((head + best for head, best in zip(heads(problem), problem.best_seconds, strict=True)), default=0.0)
    return max(path, sum(problem.best_seconds) / max(len(problem.lanes), 1))
