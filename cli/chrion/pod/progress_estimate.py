"""How far planning is in all, from what the planner says of each of its steps."""

from dataclasses import dataclass

_PROFILED = 40
"""Percent when the profile is there."""
_CONTESTS = 3
"""Rounds of measuring that a bucket has as a rule: all candidates, then the best of them again, twice."""


@dataclass
class ProgressEstimate:
    """An estimate that never goes back: what is left is known only when it is behind."""

    buckets: int = 1
    percent: int = 0
    _contests: int = 0
    _before: float = 0.0

    def tell(self, what: str, done: float) -> int:
        """Take what the planner says, and the part of this step that is behind; percent of all that is."""
        match what.partition(" ")[0]:
            case "profiling":
                now = 2 + (_PROFILED - 2) * done
            case "loading" | "measuring":
                if done < self._before:
                    self._contests += 1
                self._before = done
                expected = _CONTESTS * max(1, self.buckets)
                now = _PROFILED + (99 - _PROFILED) * min(1.0, (self._contests + done) / expected)
            case _:
                now = 1
        self.percent = max(self.percent, min(99, int(now)))
        return self.percent
