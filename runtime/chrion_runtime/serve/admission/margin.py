"""How much of a request's time its expected wait may take up, learnt from those that came too late. Pure."""

from dataclasses import dataclass

_STEP = 0.02
"""What one request that came too late takes off."""
_LATE = 0.005
"""The part of the admitted requests that may come too late."""
_LEAST, _MOST = 0.3, 0.8
_BACK = 0.2
"""How much of the way back to the widest each request goes that finds none ahead of it."""


@dataclass
class AdmissionMargin:
    """The part that a wait may take up; the rest is for what cannot be foreseen.

    It goes down with each admitted request that came too late, and up so little with each that did not that it comes
    to rest where one in two hundred is late: a quantile followed step by step (Robbins and Monro, 1951). Where runs
    take what they are expected to, it is as wide as it may be; where the host stops everything for 30 ms about once a
    second, the line of those that wait becomes as short as it must.
    """

    part: float = _MOST

    def ended(self, late: bool) -> None:
        """A request that was admitted behind others has been answered."""
        if late:
            self.part = max(_LEAST, self.part - _STEP)
        else:
            self.part = min(_MOST, self.part + _STEP * _LATE)

    def idle(self) -> None:
        """A request has come, and nobody was ahead of it: whatever made others late is over."""
        self.part += (_MOST - self.part) * _BACK
