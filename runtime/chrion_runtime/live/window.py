"""Latencies of the last minute, as a ring of sketches: percentiles within 1 %, in bounded memory."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ddsketch import DDSketch

_ACCURACY = 0.01
_GRAIN = 2**-7
"""What is added at once is first rounded to this in its binary logarithm, 0.3 %: many values become few."""


@dataclass
class _Part:
    began: float
    sketch: DDSketch
    over: int = 0
    unanswered: int = 0


@dataclass(frozen=True)
class Seen:
    """What a window holds."""

    samples: int
    over: int
    """Of them, those above the target, and those that got no answer."""
    seconds: float | None
    """The latency at the percentile of those that were answered; None without any."""
    span: float
    """Seconds from the window's begin until now."""


class Window:
    """Latencies of the last `span` seconds, in `parts` that leave it one by one. Times are those of one clock."""

    def __init__(self, span: float = 60.0, parts: int = 12) -> None:
        self._span = span
        self._step = span / parts
        self._parts: deque[_Part] = deque()
        self._since = 0.0

    def clear(self, now: float) -> None:
        """Forget everything; the window begins anew."""
        self._parts.clear()
        self._since = now

    def add(self, seconds: Sequence[float], target: float | None, now: float) -> None:
        """Take in latencies, and count those above the target; infinity is a request that got no answer."""
        while self._parts and self._parts[0].began <= now - self._span:
            self._parts.popleft()
        if not seconds:
            return
        if not self._parts or self._parts[-1].began <= now - self._step:
            self._parts.append(_Part(now, DDSketch(_ACCURACY)))
        part = self._parts[-1]
        values = np.maximum(np.asarray(seconds), 1e-9)
        if target is not None:
            part.over += int(np.count_nonzero(values > target))
        answered = values[np.isfinite(values)]
        part.unanswered += len(values) - len(answered)
        rounded, counts = np.unique(np.round(np.log2(answered) / _GRAIN), return_counts=True)
        for value, count in zip(np.exp2(rounded * _GRAIN), counts, strict=True):
            part.sketch.add(float(value), float(count))

    def at(self, percentile: float, now: float) -> Seen:
        """What there is, and the latency at a percentile between 0 and 100."""
        whole = DDSketch(_ACCURACY)
        for part in self._parts:
            whole.merge(part.sketch)
        return Seen(
            samples=round(whole.count) + sum(part.unanswered for part in self._parts),
            over=sum(part.over for part in self._parts),
            seconds=whole.get_quantile_value(percentile / 100) if whole.count else None,
            span=min(self._span, now - self._since),
        )
