"""Reference runs: the same small work on all lanes, now and then, tells whether the machine is still what it was."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

T = TypeVar("T")

_SECONDS = 0.004
_LOOKS = 4
_BLOCK = bytes(1 << 18)
_MOST_LOST = 0.15
"""The part of the lanes' time that may go to others."""
_MOST_DRIFT = 1.25
"""How many times as fast a processor may become, or as slow, from one look to the next."""
_PATIENCE = 6
"""Times that something may run again: where more is disturbed, what disturbs it will not pass."""
_NOISE = 0.1
"""Speeds of the processor that differ by this part may be the same: reference runs are short."""


@dataclass(frozen=True)
class Look:
    """What reference runs took."""

    lost: float
    """The part of their time that the lanes did not get."""
    seconds: float
    """Processor time of one run on one lane."""

    @property
    def disturbed(self) -> bool:
        """Whether other work took more than a measurement can stand."""
        return self.lost > _MOST_LOST


class ReferenceRuns:
    """Reference runs before and after what is measured. All of it is brought to the speed of the first of them."""

    def __init__(self, lanes: int, deadline: float) -> None:
        """Reference runs take so many lanes. Nothing runs again after `deadline`, of `time.monotonic`."""
        self._lanes = lanes
        self._deadline = deadline
        self._first = self._last = look(lanes)
        self._patience = _PATIENCE
        self.speed = 1.0
        """How many times as fast as at first the processor was at last; 1 where that may be noise."""
        self.tainted = ""
        """What went on beside something that was disturbed again, for people; empty where nothing was."""

    @property
    def seconds(self) -> float:
        """What a reference run took at first."""
        return self._first.seconds

    def undisturbed(self, run: Callable[[], T]) -> T:
        """What `run` returns; it runs once more where something disturbed it, while there are time and patience."""
        found = run()
        problem = self._problem()
        if problem and self._patience and time.monotonic() < self._deadline:
            self._patience -= 1
            self._last = look(self._lanes)
            found = run()
            problem = self._problem()
        self.tainted = self.tainted or problem
        return found

    def _problem(self) -> str:
        """What went on since the last look; empty where nothing did."""
        before, after = self._last, look(self._lanes)
        self._last = after
        speed = 2 * self.seconds / (before.seconds + after.seconds)
        self.speed = 1.0 if abs(speed - 1) < _NOISE else speed
        if before.disturbed or after.disturbed:
            return f"other work took {max(before.lost, after.lost):.0%} of the lanes' time"
        drift = before.seconds / after.seconds
        if not 1 / _MOST_DRIFT < drift < _MOST_DRIFT:
            return f"the processor's speed changed by a factor of {drift:.2f}"
        return ""


def look(lanes: int) -> Look:
    """Reference runs on so many lanes at once.

    What passes within a few milliseconds does no harm to medians: of several looks the one that lost least counts.
    """
    best = _look(lanes)
    for _ in range(_LOOKS - 1):
        if not best.disturbed:
            break
        best = min(best, _look(lanes), key=lambda one: one.lost)
    return best


def _look(lanes: int) -> Look:
    """One lane after the other would miss a quota that only holds for all together; hashing leaves the interpreter's
    lock, so that they can run at once.
    """
    found: list[Look] = []
    threads = [threading.Thread(target=lambda: found.append(_run())) for _ in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Look(sum(one.lost for one in found) / lanes, min(one.seconds for one in found))


def _run() -> Look:
    began, busy = time.perf_counter(), time.thread_time()
    shortest = _SECONDS
    counts = 0
    last = busy
    while time.perf_counter() < began + _SECONDS:
        sha256(_BLOCK)
        now = time.thread_time()
        shortest, last = min(shortest, now - last), now
        counts += 1
    wall, worked = time.perf_counter() - began, time.thread_time() - busy
    return Look(max(0.0, 1 - worked / wall), shortest)
