"""Time a call that is repeated: the median of as many runs as a steady figure needs."""

import time
from bisect import insort
from collections.abc import Callable
from math import isqrt

_WARMUPS, _WARM_SECONDS = 3, 0.01
"""Runs before any is timed: so many, or as many as begin within that time, but never none."""
_LEAST_RUNS, _SURE_RUNS, _MOST_RUNS = 5, 9, 300
_STEADY = 0.04
"""The part of the median that its confidence interval may be wide on either side."""


def median_seconds(run: Callable[[], object], about_seconds: float = 0.03) -> float:
    """Median seconds of one call.

    From runs that take `about_seconds` together, but never fewer than five; fewer than those where the median is known
    to within 4 % already, by the order statistics between which it lies with a chance of 95 %.
    """
    warm_until = time.perf_counter() + _WARM_SECONDS
    for _ in range(_WARMUPS):
        run()
        if time.perf_counter() > warm_until:
            break
    times: list[float] = []
    until = time.perf_counter() + about_seconds
    while len(times) < _LEAST_RUNS or (
        time.perf_counter() < until and len(times) < _MOST_RUNS and not _is_known(times)
    ):
        began = time.perf_counter()
        run()
        insort(times, time.perf_counter() - began)
    return _median(times)


def _is_known(times: list[float]) -> bool:
    """Whether the sorted times tell their median well enough."""
    count = len(times)
    if count < _SURE_RUNS:
        return False
    below = (count - isqrt(4 * count)) // 2  # 1.96 standard deviations of a binomial, sqrt(n) / 2 each
    return times[-1 - below] - times[below] <= 2 * _STEADY * _median(times)


def _median(times: list[float]) -> float:
    middle = len(times) // 2
    return times[middle] if len(times) % 2 else (times[middle - 1] + times[middle]) / 2
