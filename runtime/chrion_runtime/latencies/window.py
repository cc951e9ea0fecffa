"""The last minute of a histogram that only grows."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from threading import Lock

from chrion_runtime.latencies.histogram import Histogram, value_at

SECONDS = 60.0
"""How far back a window reaches, where nothing else is said."""
PARTS = 12
"""How finely it moves: they leave it one by one."""


@dataclass(frozen=True)
class Recent:
    """What was counted lately."""

    counts: Sequence[int]
    seconds: float
    """The time in which it was."""

    @property
    def count(self) -> int:
        """How many values."""
        return sum(self.counts)

    @property
    def rate(self) -> float:
        """Values a second."""
        return self.count / self.seconds

    def at(self, percent: float) -> float | None:
        """The value at a percentile, in seconds and within 1 %; None where there was nothing."""
        count = self.count
        return value_at(self.counts, ceil(count * percent / 100) - 1) if count else None


class Window:
    """Keeps what a histogram had counted at the ends of past parts; the difference to now is what came since.

    Times are seconds of a clock that never goes back.
    """

    def __init__(self, histogram: Histogram, now: float, span: float = SECONDS) -> None:
        self._histogram = histogram
        self._span = span
        self._part = span / PARTS
        self._lock = Lock()
        self._past: deque[tuple[float, list[int]]] = deque([(now, histogram.counts[:])])
        self.due = now + self._part
        """When `turn` wants to be called, before anything more is counted."""

    def turn(self, now: float) -> None:
        """End the part, if it is time."""
        with self._lock:
            if now < self.due:
                return
            # What the part holds was counted before it was due to end, however long ago that is.
            self._past.append((self.due, self._histogram.counts[:]))
            while len(self._past) > 1 and self._past[1][0] <= now - self._span + self._part:
                self._past.popleft()
            self.due = now + self._part

    def recent(self, now: float) -> Recent:
        """What was counted in about the last minute, or whatever the span is."""
        self.turn(now)
        began, before = self._past[0]
        counts = [count - old for count, old in zip(self._histogram.counts, before, strict=True)]
        return Recent(counts, min(max(now - began, self._part), self._span))
