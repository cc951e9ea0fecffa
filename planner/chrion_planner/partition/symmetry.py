"""Lanes that can take each other's names: exact solvers look at one of all the schedules that differ in names alone."""

from collections.abc import Sequence

from chrion_planner.partition.problem import Place, Problem


def alike(problem: Problem, device: str) -> list[Place]:
    """The device's lanes that can be renamed freely: all, or all but the one that leads what is wide."""
    lanes = [Place(lane) for lane in problem.lanes_of(device)]
    return lanes[1:] if Place(lanes[0].lane, wide=True) in problem.times else lanes


def renamed(problem: Problem, places: Sequence[Place]) -> list[Place]:
    """The places, lanes renamed so that the lowest task that uses one of a device uses its first, and so on."""
    free = {device: alike(problem, device) for device in problem.devices}
    unused = {device: iter(lanes) for device, lanes in free.items()}
    names: dict[Place, Place] = {}
    for place in places:
        if place not in names:
            device = problem.device_at(place)
            names[place] = next(unused[device]) if place in free[device] else place
    return [names[place] for place in places]
