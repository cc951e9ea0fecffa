"""The predicted schedule of a plan: its lanes, who runs on them when, and how long they wait."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from chrion_api import Frontier, Plan, Stage
from chrion_runtime.drawing import format as write


@dataclass(frozen=True)
class LaneUse:
    """How busy one lane is in the predicted schedule, in seconds."""

    lane: str
    device: str
    stages: int
    busy: float
    idle: float
    utilisation: float


@dataclass(frozen=True)
class Schedule:
    """The predicted schedule of a plan: its lanes in natural order, its end, and who runs when."""

    plan: Plan

    @cached_property
    def makespan(self) -> float:
        """The end of the last stage; zero where the plan says nothing of time."""
        return max(stage.finish_seconds for stage in self.plan.stages)

    @cached_property
    def stages_by_lane(self) -> dict[str, list[tuple[int, Stage]]]:
        """The stages of each lane with their indices, in order of start."""
        found: dict[str, list[tuple[int, Stage]]] = {}
        for index, stage in enumerate(self.plan.stages):
            for lane in dict.fromkeys(stage.lanes):
                found.setdefault(lane, []).append((index, stage))
        for stages in found.values():
            stages.sort(key=lambda item: item[1].start_seconds)
        return {lane: found[lane] for lane in sorted(found, key=_lane_key)}

    @cached_property
    def uses(self) -> list[LaneUse]:
        """How busy each lane is."""
        return [self._use(lane, [stage for _, stage in stages]) for lane, stages in self.stages_by_lane.items()]

    def _use(self, lane: str, stages: list[Stage]) -> LaneUse:
        busy = end = 0.0
        for stage in stages:
            busy += max(0.0, stage.finish_seconds - max(stage.start_seconds, end))
            end = max(end, stage.finish_seconds)
        part = busy / self.makespan if self.makespan else 0.0
        return LaneUse(lane, device_of(lane), len(stages), busy, max(0.0, self.makespan - busy), part)

    @property
    def idle(self) -> float:
        """Seconds that lanes wait, all lanes together."""
        return sum(use.idle for use in self.uses)

    def share(self, stage: Stage) -> float:
        """The stage's part of the makespan."""
        return took(stage) / self.makespan if self.makespan else 0.0


def took(stage: Stage) -> float:
    """Seconds from the stage's predicted start to its finish."""
    return max(0.0, stage.finish_seconds - stage.start_seconds)


def device_of(lane: str) -> str:
    """The device of a lane: cpu of cpu/0."""
    return lane.rpartition("/")[0] or lane


HUES = 6
"""Hues that the style sheet has for devices."""


def devices(frontiers: Iterable[Frontier], named: Iterable[str] = ()) -> list[str]:
    """Every device that is named or that plans use, the CPU first; a device's place in it gives its colour."""
    found = set(named)
    for frontier in frontiers:
        for plan in frontier.plans:
            found.update(device_of(lane) for stage in plan.stages for lane in stage.lanes)
    return sorted(found, key=_lane_key)


def hues_of(names: Iterable[str]) -> dict[str, int]:
    """The hue of each of these devices."""
    return {name: index % HUES for index, name in enumerate(names)}


def _lane_key(name: str) -> tuple[bool, list[tuple[bool, int, str]]]:
    return device_of(name) != "cpu", write.natural(name)
