"""Time a call that is repeated: the median of as many runs as a steady figure needs."""

import statistics
import time
from collections.abc import Callable

_WARMUPS = 3
_LEAST_RUNS = 7
_MOST_RUNS = 300


def median_seconds(run: Callable[[], object], about_seconds: float = 0.03) -> float:
    """Median seconds of one call, from runs that take `about_seconds` together, but never fewer than seven."""
    for _ in range(_WARMUPS):
        run()
    times: list[float] = []
    until = time.perf_counter() + about_seconds
    while len(times) < _LEAST_RUNS or (time.perf_counter() < until and len(times) < _MOST_RUNS):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
