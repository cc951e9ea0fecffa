"""What a model's latencies of the last minute are against its objective."""

from collections.abc import Sequence
from dataclasses import dataclass

from chrion_runtime.latencies import Histogram, Window
from chrion_runtime.latencies.histogram import value_at
from chrion_runtime.latencies.window import SECONDS


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


class AnswerWindow:
    """Latencies of the last `span` seconds, and how many of them are above a target. Times are those of one clock."""

    def __init__(self, now: float, span: float = SECONDS) -> None:
        self._all, self._over = Histogram(), Histogram(bounds=())
        self._windows = Window(self._all, now, span), Window(self._over, now, span)
        self._since, self._span = now, span

    def add(self, seconds: Sequence[float], target: float | None, now: float) -> None:
        """Take in latencies, and count those above the target; infinity is a request that got no answer."""
        for window in self._windows:
            window.turn(now)
        for one in seconds:
            self._all.observe(one)
            if target is not None and one > target:
                self._over.observe(one)

    def at(self, percentile: float, now: float) -> Seen:
        """What there is, and the latency at a percentile between 0 and 100."""
        found, over = (window.recent(now) for window in self._windows)
        answered = found.counts[:-1]  # infinity is above all bounds
        count = sum(answered)
        return Seen(
            samples=found.count,
            over=over.count,
            seconds=value_at(answered, int(percentile / 100 * (count - 1))) if count else None,
            span=min(self._span, now - self._since),
        )
