"""The timeline of a plan in a report: its lanes, who is predicted to run on them when, and how long they wait."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from chrion_api import HOST, Plan, Stage
from chrion_runtime.report import format as write

HUES = 6
"""Hues that the style sheet has for devices."""

UNTIMED = "The plan holds no predicted times, so there is no schedule to draw."
"""What stands in place of a timeline without an end."""


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
class Timeline:
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
        return LaneUse(lane, device_of(lane), len(stages), busy, max(0.0, self.makespan - busy), self._part(busy))

    @property
    def idle(self) -> float:
        """Seconds that lanes wait, all lanes together."""
        return sum(use.idle for use in self.uses)

    def share(self, stage: Stage) -> float:
        """The stage's part of the makespan."""
        return self._part(took(stage))

    def _part(self, seconds: float) -> float:
        return seconds / self.makespan if self.makespan else 0.0

    @property
    def extent(self) -> str:
        """How many stages on how many lanes, their weights on the host, and how far rounding those puts answers off."""
        weights = f", {write.size(self.plan.host_bytes)} of weights on the host" if self.plan.host_bytes else ""
        off = f", rounded: answers are off by {write.share(self.plan.error)}" if self.plan.error is not None else ""
        return f"{write.count(len(self.plan.stages), 'stage')} on {self._lanes}{weights}{off}"

    @property
    def idleness(self) -> str:
        """The makespan, and how much of it lanes wait."""
        part = write.share(self._part(self.idle) / len(self.uses))
        return (
            f"makespan {write.seconds(self.makespan)}; idle {write.seconds(self.idle)} in all ({part} of {self._lanes})"
        )

    @property
    def _lanes(self) -> str:
        return write.count(len(self.uses), "lane")

    @property
    def bound(self) -> str:
        """What no plan can beat, and how far above it this one is predicted; empty without a bound."""
        if self.plan.bound_seconds is None:
            return ""
        return (
            f"bound {write.seconds(self.plan.bound_seconds)}: by the profile no plan for this graph is faster; "
            f"gap {write.share(self.plan.gap or 0)} of the predicted {write.seconds(self.plan.predicted_seconds)}"
        )


def took(stage: Stage) -> float:
    """Seconds from the stage's predicted start to its finish."""
    return max(0.0, stage.finish_seconds - stage.start_seconds)


def stage_labels(index: int, stage: Stage) -> tuple[str, str, str]:
    """What is written on a stage, from the longest to the shortest."""
    size, time = write.count(len(stage.nodes), "node"), write.seconds(took(stage))
    return f"{index} · {size} · {time}", f"{index} · {time}", f"{index}"


def device_of(lane: str) -> str:
    """The device of a lane: cpu of cpu/0."""
    return lane.rpartition("/")[0] or lane


def device_hues(plans: Iterable[Plan], named: Iterable[str] = ()) -> dict[str, int]:
    """The hue of every device that is named or that plans use, the CPU first."""
    found = {*named, *(device_of(lane) for plan in plans for stage in plan.stages for lane in stage.lanes)}
    return {name: index % HUES for index, name in enumerate(sorted(found, key=_lane_key))}


def _lane_key(name: str) -> tuple[bool, list[tuple[bool, int, str]]]:
    return device_of(name) != HOST, write.natural(name)
