"""What a model's runs take, learnt from the runs: pure, for clocks are given."""

from dataclasses import dataclass, field

_RECENT = 0.25
"""The weight of the newest run in an average: one run of an unknown kind moves it well beyond any threshold."""
_FORGET = 0.98
"""How the longest run fades with each further one."""


@dataclass
class RunTimes:
    """Seconds of runs by the size of their requests: sizes within a factor of two are taken together."""

    _mean: dict[int, float] = field(default_factory=dict)
    _longest: dict[int, float] = field(default_factory=dict)

    def ran(self, size: int, seconds: float) -> None:
        """A request of so many bytes ran so long."""
        kind = size.bit_length()
        before = self._mean.get(kind, seconds)
        self._mean[kind] = before + (seconds - before) * _RECENT
        self._longest[kind] = max(seconds, self._longest.get(kind, 0.0) * _FORGET)

    def expected(self, size: int) -> float | None:
        """What a request of this size takes; None where none of its kind ran yet."""
        return self._mean.get(size.bit_length())

    def longest(self, size: int) -> float:
        """The longest that one took of late."""
        return self._longest.get(size.bit_length(), 0.0)


@dataclass
class Pace:
    """Seconds from one answer to the next while requests wait: what each request ahead costs one that comes.

    It counts what happens, so lanes that work side by side, batches and stolen cores are all in it.
    """

    seconds: float = 0.0
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
            self.seconds += (took - self.seconds) * (_RECENT if self.seconds else 1.0)
