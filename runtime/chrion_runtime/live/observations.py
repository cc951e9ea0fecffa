"""What is seen of a model while it serves: latencies from end to end, and what its stages take.

Requests only append to queues, which costs them well under a microsecond; the pilot's thread takes from there.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from chrion_runtime.live.drift import Drift, DriftTuning
from chrion_runtime.live.plans_in_use import PlansInUse
from chrion_runtime.live.window import AnswerWindow, Seen
from chrion_runtime.run.executor import Executor

_MOST_FRESH = 1 << 17
"""Latencies that may wait to be taken in: more come only while the thread is busy for many seconds."""
_MOST_RUNS = 1 << 13
"""Runs of stages that may wait."""
_OFF_PROFILE = 0.05
"""The part of requests of other shapes above which nothing is said of the stages."""

Item = TypeVar("Item")
Runs = deque[tuple[int, float]]


class Observations:
    """The window of latencies, and the drift of each plan in use."""

    def __init__(
        self, in_use: PlansInUse, span: float, settle: float, drift: DriftTuning, off_profile: Callable[[], int]
    ) -> None:
        self._in_use = in_use
        self._span = span
        self._settle = settle
        self._tuning = drift
        self._off_profile = off_profile
        self._off_before = off_profile()
        self._fresh: deque[float] = deque(maxlen=_MOST_FRESH)
        self.answered: Callable[[float], None] = self._fresh.append
        """Takes the seconds of an answered request."""
        self._stages: list[tuple[Executor, Runs, Drift]] = []
        self._ignoring_until = 0.0
        self.seen = Seen(0, 0, None, 0.0)
        """What was seen last."""
        self.restart(time.monotonic())

    def restart(self, now: float) -> None:
        """Start over: the plans or the objective have changed."""
        self._fresh.clear()
        self._window = AnswerWindow(now, self._span)
        self._ignoring_until = now + self._settle
        self.seen = Seen(0, 0, None, 0.0)
        known = {executor: (runs, drift) for executor, runs, drift in self._stages}
        self._stages = []
        for executor in dict.fromkeys(bucket.executor for bucket in self._in_use.buckets):
            runs, drift = known.get(executor) or self._observed(executor, now)
            self._stages.append((executor, runs, drift))

    def take_in(self, now: float) -> None:
        """Take in what has come since the last call."""
        objective = self._in_use.objective
        target = objective.latency.seconds if objective.latency is not None else None
        latencies = _taken(self._fresh)
        if now >= self._ignoring_until:
            self._window.add(latencies, target, now)
        self.seen = self._window.at(objective.percentile, now)
        off, self._off_before = self._off_profile() - self._off_before, self._off_profile()
        for _, runs, drift in self._stages:
            drift.add(_taken(runs), off > _OFF_PROFILE * len(latencies), now)

    @property
    def stale(self) -> str:
        """How the plans in use are off what they were chosen by; empty where they are not."""
        return "; ".join(drift.problem for _, _, drift in self._stages if drift.problem)

    def _observed(self, executor: Executor, now: float) -> tuple[Runs, Drift]:
        runs: Runs = deque(maxlen=_MOST_RUNS)
        executor.observe(lambda stage, _, seconds: runs.append((stage.index, seconds)))
        return runs, Drift(executor.loaded.plan, self._tuning, now)


def _taken(queue: deque[Item]) -> list[Item]:
    return [queue.popleft() for _ in range(len(queue))]
