"""A histogram that is cheap to add to and fine enough to read percentiles from.

prometheus_client's own takes a lock and walks its buckets in Python for every value; here a value is one binary search
in C and one addition, and Prometheus' coarse buckets are summed up when they are asked for.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from math import sqrt

BUCKETS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds, as Prometheus sees them."""
SHORT_BUCKETS = (1e-5, 2.5e-5, 5e-5, *BUCKETS)
"""The same for stages and waits, which are often far below a request."""

STEPS = 64
"""Fine buckets to a factor of two: each is 1.1 % wide, and its middle within 1 % of all that is in it."""
BOUNDS = tuple(sorted({*(1e-6 * 2 ** (step / STEPS) for step in range(34 * STEPS)), *SHORT_BUCKETS}))
"""Upper bounds of the fine buckets, from a microsecond to hours; Prometheus' are among them."""


class Histogram:
    """Counts of values in seconds, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float] = BOUNDS) -> None:
        """Percentiles need the fine `bounds`; without any, values are only counted."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count a value; from any thread.

        It needs no lock: nothing is called between reading a number and writing it back, so the interpreter does not
        change threads there.
        """
        place = bisect_left(self.bounds, seconds)
        self.counts[place] += 1
        self.sum += seconds

    @property
    def count(self) -> int:
        """Values counted."""
        return sum(self.counts)

    def add(self, other: "Histogram") -> None:
        """Count all that another of the same bounds has counted."""
        self.counts = [one + two for one, two in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum

    def cumulative(self, bounds: Sequence[float]) -> list[tuple[str, float]]:
        """Prometheus' buckets: values up to each bound, which is one of its own, and in all."""
        below = list(accumulate(self.counts))
        return [*((str(bound), below[bisect_left(self.bounds, bound)]) for bound in bounds), ("+Inf", below[-1])]


def value_at(counts: Sequence[int], rank: int) -> float:
    """The value of which `rank` are smaller, within 1 %: the middle of its fine bucket. `counts` are of BOUNDS."""
    place = min(bisect_left(list(accumulate(counts)), rank + 1), len(BOUNDS) - 1)
    return sqrt(BOUNDS[place - 1] * BOUNDS[place]) if place else BOUNDS[0]
