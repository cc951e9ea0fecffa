"""Measure in spells, each between two reference runs; a spell that something disturbed is measured again."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from chrion_planner.reference import ReferenceRuns

T = TypeVar("T")

_SPELL_SECONDS = 0.25


class Spells:
    """The spells of one profile."""

    def __init__(self, lanes: int, deadline: float) -> None:
        """Reference runs take so many lanes. No spell begins after `deadline`, of `time.monotonic`."""
        self._reference = ReferenceRuns(lanes, deadline)
        self._deadline = deadline

    @property
    def reference_seconds(self) -> float:
        """What the reference run took at the beginning."""
        return self._reference.seconds

    @property
    def tainted(self) -> str:
        """What went on beside a spell that was disturbed again, for people; empty where there was none."""
        return self._reference.tainted

    @property
    def in_time(self) -> bool:
        """Whether another spell may begin."""
        return time.monotonic() < self._deadline

    def measured(self, jobs: Sequence[Callable[[], T]], scaled: Callable[[T, float], T]) -> Iterator[T]:
        """What the jobs measure, in their order; fewer where time runs out. `scaled` multiplies their seconds."""
        done = 0
        while done < len(jobs) and self.in_time:
            found = self._reference.undisturbed(partial(self._spell, jobs[done:]))
            speed = self._reference.speed
            yield from found if speed == 1 else (scaled(one, speed) for one in found)
            done += len(found)

    def _spell(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """What those jobs measure that begin in one spell."""
        until = min(time.monotonic() + _SPELL_SECONDS, self._deadline)
        found = []
        for job in jobs:
            found.append(job())
            if time.monotonic() > until:
                break
        return found
