"""The times of tasks whose lanes and order are decided."""

from collections.abc import Sequence

from chrion_planner.partition.problem import HOST, Problem, Schedule


def ready_seconds(
    problem: Problem, task: int, lane: int, placed: Sequence[int | None], finish: Sequence[float]
) -> float:
    """When everything that the task reads is there, were it to run on the lane; its producers must be placed."""
    lanes, consumer = problem.lanes, problem.lanes[lane]
    ready = problem.copy_seconds(HOST, consumer.device, problem.host_in[task])
    for producer, edge in problem.tasks.pred[task].items():
        at = placed[producer]
        assert at is not None
        delay = 0.0 if at == lane else problem.arrival_seconds(lanes[at], consumer, edge["bytes"])
        ready = max(ready, finish[producer] + delay)
    return ready


def answered(problem: Problem, lane: Sequence[int], finish: Sequence[float]) -> float:
    """When the last task has ended and the whole answer is on the host, in seconds."""
    copied = (
        end + problem.copy_seconds(problem.lanes[at].device, HOST, nbytes)
        for at, end, nbytes in zip(lane, finish, problem.host_out, strict=True)
    )
    return max(copied, default=0.0)


def timed(problem: Problem, order: Sequence[int], lane: Sequence[int]) -> Schedule:
    """The schedule in which each lane runs its tasks in the given order, each as early as it can.

    `order` holds every task once, producers before consumers; `lane[task]` is an index into `problem.lanes`.
    """
    free = [0.0] * len(problem.lanes)
    start, finish = [0.0] * len(lane), [0.0] * len(lane)
    for task in order:
        at = lane[task]
        start[task] = max(free[at], ready_seconds(problem, task, at, lane, finish))
        finish[task] = free[at] = start[task] + problem.seconds[problem.lanes[at].device][task]
    return Schedule(tuple(lane), tuple(start), tuple(finish), answered(problem, lane, finish))
