"""When stages run on lanes that slow each other, as the streams of one GPU do: time goes on from event to event."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

Need = tuple[int, float]
"""A stage that must have ended, and the seconds from its end until what it made has arrived."""


@dataclass(frozen=True)
class StageWork:
    """One stage, as far as its times go."""

    held: tuple[int, ...]
    """The lanes that it holds, the leading one first."""
    device: str
    seconds: float
    """How long it holds them while the device's other lanes idle."""
    crowded: float
    """The same while all of them are busy; between, it lies evenly between."""
    begin: float
    """When it may start at the earliest."""
    needs: tuple[Need, ...]


@dataclass
class StageTimes:
    """For each stage its times in seconds, and the stage that it started right after, if it waited for one."""

    start: dict[int, float] = field(default_factory=dict)
    finish: dict[int, float] = field(default_factory=dict)
    cause: dict[int, int | None] = field(default_factory=dict)


def run(jobs: Mapping[int, StageWork], orders: Sequence[Sequence[int]], lanes: Mapping[str, int]) -> StageTimes | None:
    """The times of all stages, each as early as it can; None where they wait for one another in a circle.

    `orders` has for each lane its stages in order, `lanes` the number of each device's lanes.
    """
    clock = _Clock(jobs, orders, lanes)
    while clock.step():
        pass
    return clock.times if len(clock.times.finish) == len(jobs) else None


class _Clock:
    def __init__(
        self, jobs: Mapping[int, StageWork], orders: Sequence[Sequence[int]], lanes: Mapping[str, int]
    ) -> None:
        self.times = StageTimes()
        self._jobs = jobs
        self._lanes = lanes
        self._waiting = [iter(order) for order in orders]
        self._heads = [next(stages, None) for stages in self._waiting]
        self._last: list[int | None] = [None] * len(orders)
        self._ready: dict[int, tuple[float, int | None]] = {}
        """Of the stages that can start: when, and after which."""
        self._ends: dict[int, float] = {}
        """Of the stages that run: when they end if nothing more starts or ends on their device."""
        self._now = 0.0

    def step(self) -> bool:
        """Go on to the next start or end; False where there is none."""
        for stage in self._startable():
            self._ready[stage] = self._earliest(stage)
        starts = min(((at, stage) for stage, (at, _) in self._ready.items()), default=(inf, -1))
        ends = min(((at, stage) for stage, at in self._ends.items()), default=(inf, -1))
        if starts[0] == ends[0] == inf:
            return False
        if starts[0] < ends[0]:
            self._start(starts[1])
        else:
            self._end(ends[1])
        return True

    def _startable(self) -> Iterator[int]:
        """The stages whose turn it is on all lanes that they hold, and that have all that they read."""
        finish = self.times.finish
        for stage in dict.fromkeys(self._heads):
            if stage is None or stage in self._ready or stage in self._ends:
                continue
            job = self._jobs[stage]
            if all(self._heads[lane] == stage for lane in job.held) and all(other in finish for other, _ in job.needs):
                yield stage

    def _earliest(self, stage: int) -> tuple[float, int | None]:
        job, finish = self._jobs[stage], self.times.finish
        start, cause = job.begin, None
        for lane in job.held:
            before = self._last[lane]
            if before is not None and finish[before] >= start:
                start, cause = finish[before], before
        for other, delay in job.needs:
            if finish[other] + delay > start:
                start, cause = finish[other] + delay, other
        return start, cause

    def _start(self, stage: int) -> None:
        at, cause = self._ready.pop(stage)
        self.times.start[stage], self.times.cause[stage] = at, cause
        self._now = at
        before = self._rates(stage)
        self._ends[stage] = at + self._duration(stage, self._busy(stage))
        self._change(before)

    def _end(self, stage: int) -> None:
        at = self._ends[stage]
        self._now = at
        before = self._rates(stage)
        del self._ends[stage]
        self._change({other: rate for other, rate in before.items() if other != stage})
        self.times.finish[stage] = at
        for lane in self._jobs[stage].held:
            self._last[lane], self._heads[lane] = stage, next(self._waiting[lane], None)

    def _rates(self, stage: int) -> dict[int, float]:
        """How long, as things are, each stage on the same device would take in all."""
        device = self._jobs[stage].device
        return {
            other: self._duration(other, self._busy(other))
            for other in self._ends
            if self._jobs[other].device == device
        }

    def _change(self, before: Mapping[int, float]) -> None:
        """What is left of the stages that ran before takes longer, or less long, from now on."""
        for stage, took in before.items():
            takes = self._duration(stage, self._busy(stage))
            if takes != took and took > 0:
                self._ends[stage] = self._now + (self._ends[stage] - self._now) / took * takes

    def _busy(self, stage: int) -> int:
        """Lanes of its device that other stages hold."""
        device = self._jobs[stage].device
        others = (other for other in self._ends if other != stage and self._jobs[other].device == device)
        return sum(len(self._jobs[other].held) for other in others)

    def _duration(self, stage: int, busy: int) -> float:
        job = self._jobs[stage]
        if not busy or job.crowded == job.seconds:
            return job.seconds
        return job.seconds + (job.crowded - job.seconds) * busy / (self._lanes[job.device] - 1)
