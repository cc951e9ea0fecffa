"""What a model's runs take, learnt from the runs: pure, for clocks are given."""

from dataclasses import dataclass, field
from math import sqrt

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


@dataclass
class _Kind:
    """What requests of one size took."""

    mean: float = 0.0
    fastest: float = float("inf")
    here: float = 0.0
    """The mean of those that ran on the event loop."""
    strikes: float = 0.0
    """Of those, the ones that took far too long."""
    here_at: float = float("-inf")


@dataclass
class RunTimes:
    """Seconds of runs by the size of their requests: sizes within a factor of two are taken together.

    A run on a thread counts what it waited for lanes and for the interpreter; on the event loop it would not wait. So
    it is the fastest one that shows whether the loop could do it, and then the runs on the loop itself.
    """

    _kinds: dict[int, _Kind] = field(default_factory=dict)

    def ran(self, size: int, seconds: float) -> None:
        """A request of so many bytes ran so long on a thread."""
        kind = self._kinds.setdefault(size.bit_length(), _Kind())
        kind.mean = _moved(kind.mean, seconds)
        kind.fastest = min(seconds, kind.fastest * _RISE)

    def ran_here(self, size: int, seconds: float, limit: float, now: float) -> None:
        """A request of so many bytes ran so long on the event loop, where it should take no longer than `limit`."""
        kind = self._kinds.setdefault(size.bit_length(), _Kind())
        kind.mean = _moved(kind.mean, seconds)
        # So that a run which was interrupted does not count for many.
        kind.here = _moved(kind.here, min(seconds, 2 * limit))
        kind.strikes = kind.strikes * _FORGET + (seconds > _STRIKE_SECONDS)
        kind.here_at = now

    def expected(self, size: int) -> float | None:
        """What a request of this size takes; None where none of its kind ran yet."""
        kind = self._kinds.get(size.bit_length())
        return None if kind is None else kind.mean

    def short(self, size: int, limit: float) -> bool:
        """Whether requests of this size are known to be able to run within `limit`."""
        kind = self._kinds.get(size.bit_length())
        return kind is not None and min(kind.fastest, kind.here or kind.fastest) < limit

    def fit_here(self, size: int, limit: float, now: float) -> bool:
        """Whether a request of this size may run on the event loop, where it shall take no longer than `limit`."""
        kind = self._kinds.get(size.bit_length())
        if kind is None:
            return False
        struck = kind.strikes >= _STRIKES
        if kind.here and now - kind.here_at < (_RETRY_STRUCK_SECONDS if struck else _RETRY_SECONDS):
            return kind.here < limit and not struck
        return min(kind.fastest, kind.here or kind.fastest) < limit


def _moved(mean: float, newest: float) -> float:
    return mean + (newest - mean) * _RECENT if mean else newest


_DOUBT = 1.0
"""How many deviations an expected wait is put higher."""
_PACED = 0.05
"""The weight of the newest answer in a pace: one that the system held up must not have the next ones refused."""
_FAR = 4.0
"""A pace is far too slow, as after a first run in the cold, where answers come so many times as fast."""


@dataclass
class Pace:
    """Seconds from one answer to the next while requests wait: what each request ahead costs one that comes.

    It counts what happens, so lanes that work side by side, batches and stolen cores are all in it.
    """

    seconds: float = 0.0
    deviation: float = 0.0
    """How far single ones are from that, in the mean."""
    ahead: int = 0
    """Requests that have begun and not ended."""
    _since: float = 0.0

    def begin(self, now: float) -> None:
        """A request has been admitted."""
        if not self.ahead:
            self._since = now
        self.ahead += 1

    def end(self, now: float, counted: bool = True) -> None:
        """A request has ended; one that never ran is not `counted`."""
        self.ahead -= 1
        if counted:
            took, self._since = now - self._since, now
            if not self.seconds:
                self.seconds = took
            weight = _RECENT if took * _FAR < self.seconds else _PACED
            self.deviation += (abs(took - self.seconds) - self.deviation) * weight
            self.seconds += (took - self.seconds) * weight

    @property
    def wait(self) -> float:
        """Seconds until all that are ahead have ended, more likely less than more."""
        return self.seconds * self.ahead + _DOUBT * self.deviation * sqrt(self.ahead)
