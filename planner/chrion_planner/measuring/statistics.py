"""What can be said of measured rounds: percentiles of one contender, and whether one beats another beyond noise."""

from collections.abc import Sequence
from math import log, sqrt
from statistics import NormalDist, median

import numpy as np

from chrion_api import Latency

_SIGNIFICANCE = 0.05

Rounds = Sequence[Sequence[float]]
"""Seconds of each run, round by round; none in rounds that it had no part in."""


def latency(rounds: Rounds) -> Latency:
    """Percentiles over all runs of all rounds."""
    runs = np.concatenate([np.asarray(times) for times in rounds])
    p50, p90, p99 = np.percentile(runs, [50, 90, 99])
    return Latency(p50=float(p50), p90=float(p90), p99=float(p99), repetitions=len(runs))


def ratio(one: Rounds, other: Rounds) -> float:
    """How many times as long `one` takes as `other`: the median, over rounds that both had, of `ratios`."""
    return median(ratios(one, other))


def ratios(one: Rounds, other: Rounds) -> list[float]:
    """How many times as long `one` takes as `other`, by medians, in each round that both had."""
    return [median(a) / median(b) for a, b in zip(one, other, strict=False) if a and b]


def faster(one: Sequence[Rounds], other: Sequence[Rounds], by: float = 0.02) -> bool:
    """Whether `one` beats `other` by at least the part `by`, beyond noise; below 0, whether it loses less than that.

    Both hold rounds by process, the n-th of both measured in turn, and without rounds where one had no part: the same
    program differs from one process to the next by where its memory lies, so the gain must show in the typical
    process that both had, and no process may show a loss: of a dozen plans that are equally fast, some typical process
    looks faster by chance. Over all rounds a one-sided signed-rank test (Wilcoxon 1945, by its normal approximation)
    must leave a chance of less than 5 %.
    """
    shared = _shared(one, other)
    typical = [median(found) for found in shared]
    if not typical or median(typical) > 1 - by or max(typical) > max(1, 1 - by):
        return False
    return _chance([log((1 - by) / each) for found in shared for each in found]) < _SIGNIFICANCE


def may_turn_out_faster(one: Sequence[Rounds], other: Sequence[Rounds], by: float, more: int) -> bool:
    """Whether `faster` may still come to hold once both have run in so many more processes."""
    typical = [median(found) for found in _shared(one, other)]
    lost = sum(each > 1 - by for each in typical)
    return max(typical, default=0.0) <= max(1, 1 - by) and 2 * lost <= len(typical) + more


def _shared(one: Sequence[Rounds], other: Sequence[Rounds]) -> list[list[float]]:
    """The ratios of each process that both had."""
    return [found for fast, slow in zip(one, other, strict=False) if (found := ratios(fast, slow))]


def _chance(gains: Sequence[float]) -> float:
    """The chance of gains as good as these, or better, where there is none."""
    count = len(gains)
    ranks = sorted(range(count), key=lambda index: abs(gains[index]))
    positive = sum(rank for rank, index in enumerate(ranks, 1) if gains[index] > 0)
    mean = count * (count + 1) / 4
    deviation = sqrt(count * (count + 1) * (2 * count + 1) / 24)
    return 1 - NormalDist().cdf((positive - 0.5 - mean) / deviation)
