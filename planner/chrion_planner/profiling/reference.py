"""Reference runs: the same small work on all lanes, now and then, tells whether the machine is still what it was."""

import threading
import time
from dataclasses import dataclass
from hashlib import sha256

_SECONDS = 0.004
_LOOKS = 3
_BLOCK = bytes(1 << 18)
MOST_LOST = 0.08
"""The part of the lanes' time that may go to others."""


@dataclass(frozen=True)
class Look:
    """What reference runs took."""

    lost: float
    """The part of their time that the lanes did not get."""
    seconds: float
    """Processor time of one run on one lane."""

    @property
    def disturbed(self) -> bool:
        """Whether other work took more than a profile can stand."""
        return self.lost > MOST_LOST


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
