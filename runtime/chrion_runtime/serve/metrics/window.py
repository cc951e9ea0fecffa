"""The last minute of a histogram that only grows."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from chrion_runtime.serve.metrics.histogram import Histogram, percentile

SECONDS = 60.0
"""How far back the window reaches."""
SLICE = 5.0
"""How finely it moves."""


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
        """The value at a percentile, in seconds; None where there was nothing."""
        return percentile(self.counts, percent)


class Window:
    """Keeps what a histogram had counted at the ends of past slices; the difference to now is what came since.

    Times are seconds of a clock that never goes back.
    """

    def __init__(self, histogram: Histogram, now: float) -> None:
        self._histogram = histogram
        self._lock = Lock()
        self._past: deque[tuple[float, list[int]]] = deque([(now, histogram.counts[:])])
        self.due = now + SLICE
        """When `turn` wants to be called, before anything more is counted."""

    def turn(self, now: float) -> None:
        """End the slice, if it is time."""
        with self._lock:
            if now < self.due:
                return
            # What the slice holds was counted before it was due to end, however long ago that is.
            self._past.append((self.due, self._histogram.counts[:]))
            while len(self._past) > 1 and self._past[1][0] <= now - SECONDS:
                self._past.popleft()
            self.due = now + SLICE

    def recent(self, now: float) -> Recent:
        """What was counted in about the last minute."""
        self.turn(now)
        began, before = self._past[0]
        counts = [count - old for count, old in zip(self._histogram.counts, before, strict=True)]
        return Recent(counts, min(max(now - began, SLICE), SECONDS))
