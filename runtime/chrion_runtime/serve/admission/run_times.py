"""What a model's runs take, learnt from the runs: pure, for clocks are given."""

from collections import OrderedDict
from dataclasses import dataclass, field

from chrion_runtime.serve.admission.workload import Kind

_RECENT = 0.25
"""The weight of the newest run in an average: one run of an unknown kind moves it well beyond any threshold."""
_FORGET = 0.98
"""How a strike fades with each further run."""
_STRIKES = 1.5
"""Two strikes within some thirty runs are too many."""
_RISE = 1.05
"""How the fastest run fades with each further one."""
_RETRY_SECONDS, _RETRY_STRUCK_SECONDS = 0.1, 1.0
"""After so long a kind of request that took too long on the event loop is tried there again, if it has been fast."""
_STRIKE_SECONDS = 5e-3
"""What no run may take on the event loop, however short the others are."""


MOST_KINDS = 512
"""Kinds of requests whose runs are remembered; the one that was not seen for longest gives way."""


@dataclass
class RunTimes:
    """Mean seconds of runs by the size of their requests: sizes within a factor of two are taken together."""

    _means: dict[int, float] = field(default_factory=dict)

    def ran(self, size: int, seconds: float) -> None:
        """A request of so many bytes ran so long."""
        key = size.bit_length()
        self._means[key] = _moved(self._means.get(key, 0.0), seconds)

    def expected(self, size: int) -> float | None:
        """What a request of this size takes; None where none like it ran yet."""
        return self._means.get(size.bit_length())


@dataclass
class _Kind:
    """What runs of one kind of request took."""

    fastest: float = float("inf")
    here: float = 0.0
    """The mean of those that ran on the event loop."""
    strikes: float = 0.0
    """Of those, the ones that took far too long."""
    here_at: float = float("-inf")


class ShortRuns:
    """Which kinds of requests run so shortly that the event loop can do it.

    A run on a thread counts what it waited for lanes and for the interpreter; on the event loop it would not wait. So
    it is the fastest one that shows whether the loop could do it, and then the runs on the loop itself. Every kind has
    to show it: what was learnt of others is not trusted.
    """

    def __init__(self, limit: float) -> None:
        """On the event loop a run shall take no longer than `limit` seconds."""
        self._limit = limit
        self._kinds: OrderedDict[Kind, _Kind] = OrderedDict()

    def ran(self, kind: Kind | None, seconds: float) -> None:
        """A request ran so long on a thread; None is a kind that never runs on the event loop."""
        if kind is not None:
            known = self._known(kind)
            known.fastest = min(seconds, known.fastest * _RISE)

    def ran_here(self, kind: Kind, seconds: float, now: float) -> None:
        """A request ran so long on the event loop."""
        known = self._known(kind)
        # So that a run which was interrupted does not count for many.
        known.here = _moved(known.here, min(seconds, 2 * self._limit))
        known.strikes = known.strikes * _FORGET + (seconds > _STRIKE_SECONDS)
        known.here_at = now

    def short(self, kind: Kind | None) -> bool:
        """Whether requests of this kind are known to be able to run within the limit."""
        known = None if kind is None else self._kinds.get(kind)
        return known is not None and min(known.fastest, known.here or known.fastest) < self._limit

    def fit_here(self, kind: Kind | None, now: float) -> bool:
        """Whether a request of this kind may run on the event loop."""
        known = None if kind is None else self._kinds.get(kind)
        if known is None:
            return False
        struck = known.strikes >= _STRIKES
        if known.here and now - known.here_at < (_RETRY_STRUCK_SECONDS if struck else _RETRY_SECONDS):
            return known.here < self._limit and not struck
        return min(known.fastest, known.here or known.fastest) < self._limit

    def _known(self, kind: Kind) -> _Kind:
        known = self._kinds.get(kind)
        if known is None:
            known = self._kinds[kind] = _Kind()
            if len(self._kinds) > MOST_KINDS:
                self._kinds.popitem(last=False)
        else:
            self._kinds.move_to_end(kind)
        return known


def _moved(mean: float, newest: float) -> float:
    return mean + (newest - mean) * _RECENT if mean else newest
