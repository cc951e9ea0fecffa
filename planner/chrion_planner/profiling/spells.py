"""Measure in spells, each between two reference runs; a spell that something disturbed is measured again."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from chrion_planner.profiling.reference import Look, look

T = TypeVar("T")

_SPELL_SECONDS = 0.25
_TRIES = 2
_PATIENCE = 6
"""Spells that may be measured again: where more are disturbed, what disturbs them will not pass."""
_MOST_DRIFT = 1.15
"""How many times as fast a processor may become, or as slow, within one spell."""
_NOISE = 0.05
"""Speeds of the processor that differ by this part may be the same: reference runs are short."""


class Spells:
    """The spells of one profile. All figures are brought to the speed that the processor has when it begins."""

    def __init__(self, lanes: int, deadline: float) -> None:
        """Reference runs take so many lanes. No spell begins after `deadline`, of `time.monotonic`."""
        self._lanes = lanes
        self._deadline = deadline
        self._first = self._last = look(lanes)
        self._again = 0
        self.tainted = ""
        """What went on beside spells that were not undisturbed in the end, for people; empty where nothing did."""

    @property
    def reference_seconds(self) -> float:
        """What the reference run took at the beginning."""
        return self._first.seconds

    @property
    def in_time(self) -> bool:
        """Whether another spell may begin."""
        return time.monotonic() < self._deadline

    def measured(self, jobs: Sequence[Callable[[], T]], scaled: Callable[[T, float], T]) -> Iterator[T]:
        """What the jobs measure, in their order; fewer where time runs out. `scaled` multiplies their seconds."""
        done = 0
        while done < len(jobs) and self.in_time:
            found, speed = self._spell(jobs[done:])
            yield from (one if abs(speed - 1) < _NOISE else scaled(one, speed) for one in found)
            done += len(found)

    def _spell(self, jobs: Sequence[Callable[[], T]]) -> tuple[list[T], float]:
        """What some of the jobs measure, and how many times as fast as at the beginning the processor was meanwhile."""
        for _ in range(_TRIES):
            before, found = self._last, self._once(jobs)
            self._last = look(self._lanes)
            problem = _problem(before, self._last)
            if not (problem and self.in_time and self._again < _PATIENCE):
                break
            self._again += 1
            jobs = jobs[: len(found)]
            self._last = look(self._lanes)
        self.tainted = self.tainted or problem
        return found, 2 * self._first.seconds / (before.seconds + self._last.seconds)

    def _once(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        until = min(time.monotonic() + _SPELL_SECONDS, self._deadline)
        found = []
        for job in jobs:
            found.append(job())
            if time.monotonic() > until:
                break
        return found


def _problem(before: Look, after: Look) -> str:
    """What went on between two looks; empty where nothing did."""
    if before.disturbed or after.disturbed:
        return f"other work took {max(before.lost, after.lost):.0%} of the lanes' time"
    drift = before.seconds / after.seconds
    if not 1 / _MOST_DRIFT < drift < _MOST_DRIFT:
        return f"the processor became {drift:.2f} times as fast within a moment"
    return ""
