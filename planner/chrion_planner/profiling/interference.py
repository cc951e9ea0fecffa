"""Whether anything else ran on the lanes while a profile was measured."""

import threading
import time
from hashlib import sha256

_SECONDS = 0.05
_MOST_LOST = 0.08
"""The part of the lanes' time that may go to others."""
_MOST_DRIFT = 1.15
"""How much faster or slower the same work may be after measuring than before."""


class Interference:
    """Looks at the lanes before and after; each lane counts for a while and sees what it gets of its core."""

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        self._before = _least(lanes)

    def verdict(self) -> str:
        """What went on beside the measurement, for people; empty where nothing did."""
        after = _least(self._lanes)
        lost = max(self._before[0], after[0])
        if lost > _MOST_LOST:
            return f"other work took {lost:.0%} of the lanes' time"
        drift = self._before[1] / after[1]
        if not 1 / _MOST_DRIFT < drift < _MOST_DRIFT:
            return f"the processor ran {drift:.2f} times as fast at the end as at the beginning"
        return ""


def _least(lanes: int) -> tuple[float, float]:
    """Of two counts the one that lost less: what passes within one count does no harm to medians."""
    return min(_counted(lanes) for _ in range(2))


def _counted(lanes: int) -> tuple[float, float]:
    """The part of their time that the lanes did not get, and the seconds of processor time that one count takes.

    One lane counts after the other would miss a quota that only holds for all together; hashing leaves the
    interpreter's lock, so that they can count at once.
    """
    found: list[tuple[float, float]] = []
    threads = [threading.Thread(target=lambda: found.append(_count())) for _ in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(lost for lost, _ in found) / lanes, sum(seconds for _, seconds in found) / lanes


def _count() -> tuple[float, float]:
    block = bytes(1 << 22)
    began, busy = time.perf_counter(), time.thread_time()
    counts = 0
    while time.perf_counter() < began + _SECONDS:
        sha256(block)
        counts += 1
    wall, worked = time.perf_counter() - began, time.thread_time() - busy
    return max(0.0, 1 - worked / wall), worked / counts
