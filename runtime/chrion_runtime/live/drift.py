"""Notice when stages no longer take the time that their plan was chosen by.

What a stage takes is its quiet time: the lowest tenth of its runs in half a minute, which other requests and other
programs disturb least. Two comparisons, for a plan's predictions of single stages are rougher than of the whole:

- each stage with its own quiet time in the first such window since the plan was loaded;
- all stages together with the plan: the sum of their predicted times, scaled by what was measured of the whole.

The plan is stale when either is off by more than a quarter, in either direction, in several windows in a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chrion_api import Plan

OFF = 0.25
WINDOW_SECONDS = 30.0
IN_A_ROW = 3
LEAST_RUNS = 30
_MOST_RUNS = 64
"""Runs of a stage that are taken in at once."""


@dataclass(frozen=True)
class DriftTuning:
    """When drift counts."""

    window_seconds: float = WINDOW_SECONDS
    in_a_row: int = IN_A_ROW
    """Windows that must show it, and must not show it to be over."""
    least_runs: int = LEAST_RUNS
    """Runs of every stage that a window must hold to count."""


class Drift:
    """The drift of one plan in use."""

    def __init__(self, plan: Plan, tuning: DriftTuning, now: float) -> None:
        self._tuning = tuning
        self._count = len(plan.stages)
        scale = plan.measured.p50 / plan.predicted_seconds if plan.measured and plan.predicted_seconds else 1.0
        self._expected = sum(stage.finish_seconds - stage.start_seconds for stage in plan.stages) * scale
        self._first: list[float] | None = None
        self._runs: list[list[float]] = [[] for _ in plan.stages]
        self._began = now
        self._off = self._within = 0
        self.problem = ""
        """What is off; empty while nothing is."""

    def add(self, runs: Sequence[tuple[int, float]], off_profile: bool, now: float) -> None:
        """Take in stages that ran: their number and seconds. Runs of other shapes than planned for do not count."""
        if not off_profile:
            taken = [0] * self._count
            for stage, seconds in runs:
                taken[stage] += 1
                if taken[stage] <= _MOST_RUNS:
                    self._runs[stage].append(seconds)
        if now - self._began < self._tuning.window_seconds:
            return
        if all(len(times) >= self._tuning.least_runs for times in self._runs):
            self._close([float(np.percentile(times, 10)) for times in self._runs])
        elif now - self._began < 10 * self._tuning.window_seconds:
            return  # few requests: a longer window
        self._began = now
        self._runs = [[] for _ in self._runs]

    def _close(self, quiet: list[float]) -> None:
        first = self._first = self._first or quiet
        problem = self._whole(quiet) or self._single(quiet, first)
        self._off = self._off + 1 if problem else 0
        self._within = 0 if problem else self._within + 1
        if problem and (self.problem or self._off >= self._tuning.in_a_row):
            self.problem = problem
        elif self._within >= self._tuning.in_a_row:
            self.problem = ""

    def _whole(self, quiet: Sequence[float]) -> str:
        if not self._expected or not _is_off(sum(quiet), self._expected):
            return ""
        return f"all stages together take {_us(sum(quiet))}, but the plan predicts {_us(self._expected)}"

    def _single(self, quiet: Sequence[float], first: Sequence[float]) -> str:
        stage = max(range(self._count), key=lambda index: abs(quiet[index] / first[index] - 1) if first[index] else 0)
        if not first[stage] or not _is_off(quiet[stage], first[stage]):
            return ""
        return f"stage {stage} takes {_us(quiet[stage])}, but took {_us(first[stage])} when the plan was loaded"


def _is_off(seconds: float, expected: float) -> bool:
    return abs(seconds / expected - 1) > OFF


def _us(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} µs"
