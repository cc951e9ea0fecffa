"""Schedules and stages that others are held against."""

from chrion_planner.partition import Problem, Schedule, Simulation, each_device, first_stages
from chrion_planner.partition.stages import improve


def best_device(problem: Problem) -> Schedule | None:
    """The best single device's schedule; None where no device can do the whole work alone."""
    return min(each_device(problem).values(), key=lambda schedule: schedule.makespan, default=None)


def group(problem: Problem, schedule: Schedule) -> Simulation:
    """The schedule's tasks as stages, merged and moved while that helps."""
    return improve(problem, first_stages(problem, schedule))[0]
