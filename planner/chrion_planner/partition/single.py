"""Everything on one lane of one device: what every other plan must beat."""

from chrion_api import HOST
from chrion_planner.partition.problem import Place, Problem, Schedule
from chrion_planner.partition.task_times import timed


def on_device(problem: Problem, device: str) -> Schedule | None:
    """All tasks on the device's first lane; None where it cannot run one of them or its budget is too small."""
    tasks = range(len(problem.tasks))
    lane = next(iter(problem.lanes_of(device)), None)
    if lane is None or not all(problem.can_run(task, device) for task in tasks):
        return None
    return timed(problem, tasks, [Place(lane)] * len(tasks)) if problem.within_budget(device, tasks) else None


def most_on(problem: Problem, device: str) -> Schedule | None:
    """All tasks that the device can run on its first lane, the others on the host's.

    None where that is all or nothing, where the host cannot run what is left, or where the budget is too small.
    """
    lanes = [next(iter(problem.lanes_of(name)), None) for name in (device, HOST)]
    here = [problem.can_run(task, device) for task in range(len(problem.tasks))]
    if None in lanes or all(here) or not any(here):
        return None
    if not all(taken or problem.can_run(task, HOST) for task, taken in enumerate(here)):
        return None
    if not problem.within_budget(device, (task for task, taken in enumerate(here) if taken)):
        return None
    places = [Place(lanes[0 if taken else 1] or 0) for taken in here]
    return timed(problem, range(len(here)), places)


def each_device(problem: Problem) -> dict[str, Schedule]:
    """For each device that can do the whole work alone its schedule, in the devices' order."""
    schedules = {device: on_device(problem, device) for device in problem.devices}
    return {device: schedule for device, schedule in schedules.items() if schedule is not None}
