"""What can be said of measured rounds: percentiles of one contender, and whether one beats another beyond noise."""

from collections.abc import Sequence
from math import comb
from statistics import median

import numpy as np

from chrion_api import Latency

_SIGNIFICANCE = 0.05


def latency(rounds: Sequence[Sequence[float]]) -> Latency:
    """Percentiles over all runs of all rounds."""
    runs = np.concatenate([np.asarray(times) for times in rounds])
    p50, p90, p99 = np.percentile(runs, [50, 90, 99])
    return Latency(p50=float(p50), p90=float(p90), p99=float(p99), repetitions=len(runs))


def ratio(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> float:
    """How many times as long `one` takes as `other`: the median over rounds of the ratio of their medians."""
    return median(median(a) / median(b) for a, b in zip(one, other, strict=False))


def faster(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]], by: float = 0.02) -> bool:
    """Whether `one` beats `other` beyond noise.

    Its round must be the shorter one so often that a fair coin would rarely do as well (a sign test over rounds,
    5 %), and the typical gain must be at least `by`.
    """
    pairs = [(median(a), median(b)) for a, b in zip(one, other, strict=False)]
    wins = sum(a < b for a, b in pairs)
    chance = sum(comb(len(pairs), k) for k in range(wins, len(pairs) + 1)) / 2 ** len(pairs)
    return chance < _SIGNIFICANCE and ratio(one, other) <= 1 - by
