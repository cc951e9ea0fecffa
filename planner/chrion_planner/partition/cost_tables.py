"""What schedulers ask of one problem again and again, worked out once: copies, hand-offs and bytes."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import inf

from chrion_api import HOST
from chrion_planner.partition.bound import tails
from chrion_planner.partition.problem import Place, Problem

Offers = Mapping[Place, Sequence[float]]
"""For each place that a scheduler may use the run time of every task there, inf where it may not be used for it."""


class CostTables:
    """Seconds and bytes of a problem; devices are numbers here, indices into `Problem.devices`."""

    def __init__(self, problem: Problem) -> None:
        devices = problem.devices
        number = {device: index for index, device in enumerate(devices)}
        self.problem = problem
        self.device_of_lane = [number[lane.device] for lane in problem.lanes]
        self.request = [[problem.copy_seconds(HOST, device, n) for n in problem.host_in] for device in devices]
        """For each device and task the seconds until its part of the request is there."""
        self.answer = [[problem.copy_seconds(device, HOST, n) for n in problem.host_out] for device in devices]
        """For each device and task the seconds from its end until its part of the answer is on the host."""
        self._delays = {
            nbytes: [
                [problem.handoff[target] + problem.copy_seconds(source, target, nbytes) for target in devices]
                for source in devices
            ]
            for nbytes in {nbytes for read in problem.producers for _, nbytes in read}
        }

    @cached_property
    def reads(self) -> list[list[tuple[int, list[list[float]]]]]:
        """For each task its producers, and by their device and its own the seconds from one lane to another."""
        return [[(producer, self._delays[nbytes]) for producer, nbytes in read] for read in self.problem.producers]

    @cached_property
    def feeds(self) -> list[list[tuple[int, list[list[float]]]]]:
        """The same for its consumers."""
        return [[(consumer, self._delays[nbytes]) for consumer, nbytes in read] for read in self.problem.consumers]

    @cached_property
    def tails(self) -> list[float]:
        """For each task the shortest way from its finish to the end, in seconds."""
        return tails(self.problem)

    @cached_property
    def free(self) -> list[float]:
        """For each device the bytes of its budget that are left where what can run nowhere else is there."""
        free = [float(self.problem.budget.get(device, inf)) for device in self.problem.devices]
        for task, device in self._only.items():
            free[device] -= self.problem.bytes_taken(self.problem.devices[device], (task,))
        return free

    @cached_property
    def need(self) -> list[list[int]]:
        """For each device and task the bytes that it takes of `free`."""
        return [
            [
                0 if task in self._only else self.problem.bytes_taken(device, (task,))
                for task in range(len(self.problem.tasks))
            ]
            for device in self.problem.devices
        ]

    @cached_property
    def _only(self) -> dict[int, int]:
        """The tasks that only one device can run, with it."""
        found = {}
        for task in range(len(self.problem.tasks)):
            able = [index for index, name in enumerate(self.problem.devices) if self.problem.can_run(task, name)]
            if len(able) == 1:
                found[task] = able[0]
        return found
