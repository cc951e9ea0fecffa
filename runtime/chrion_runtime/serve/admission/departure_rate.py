"""How fast requests that wait are answered: what each one ahead costs the next. Pure, for clocks are given."""

from dataclasses import dataclass
from math import sqrt

_DOUBT = 1.0
"""How many deviations an expected wait is put higher."""
_RECENT = 0.05
"""The weight of the newest answer: one that the system held up must not have the next ones refused."""
_CATCH_UP = 0.25
"""Its weight where the rate was far too slow."""
_FAR = 4.0
"""A rate is far too slow, as after a first run in the cold, where answers come so many times as fast."""


@dataclass
class DepartureRate:
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
            weight = _CATCH_UP if took * _FAR < self.seconds else _RECENT
            self.deviation += (abs(took - self.seconds) - self.deviation) * weight
            self.seconds += (took - self.seconds) * weight

    @property
    def wait(self) -> float:
        """Seconds until all that are ahead have ended, more likely less than more."""
        return self.seconds * self.ahead + _DOUBT * self.deviation * sqrt(self.ahead)
