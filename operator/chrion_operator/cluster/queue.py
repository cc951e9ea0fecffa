"""A queue of keys to work on: each at most once at a time, groups in turns, failures later and later.

The groups are namespaces: each gives one key after the other, however many of another's wait, and none holds every
worker. Delays after failures are as controller-runtime has them.
"""

import heapq
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from chrion_operator.cluster.metrics import QUEUED

Key = TypeVar("Key", bound=Hashable)

FIRST_DELAY, LONGEST_DELAY = 0.2, 60.0
"""Seconds until a key that failed is tried again, the first time and at most; twice as long each time."""


class WorkQueue(Generic[Key]):
    """Keys with the moment they are due. A key that is added while it is worked on is due again afterwards.

    Of those that are due, the groups that `group` tells take turns, and each gives its keys in the order in which they
    came due. At most `at_once` keys of one group are worked on at a time.
    """

    def __init__(self, group: Callable[[Key], Hashable], at_once: int) -> None:
        self._group, self._at_once = group, at_once
        self._changed = threading.Condition(threading.RLock())
        self._due: dict[Key, float] = {}
        self._later: list[tuple[float, int, Key]] = []
        """A heap of what was added, superseded entries included; what is due moves on from it."""
        self._now: OrderedDict[Hashable, OrderedDict[Key, None]] = OrderedDict()
        """The keys that are due, by group; the group whose turn it is comes first."""
        self._running: dict[Hashable, set[Key]] = {}
        self._failures: dict[Key, int] = {}
        self._count = 0
        self._closed = False

    def add(self, key: Key, after: float = 0.0) -> None:
        """Have a key worked on in `after` seconds, or sooner where it is due sooner already."""
        with self._changed:
            due = time.monotonic() + after
            if due >= self._due.get(key, float("inf")):
                return
            self._due[key] = due
            self._count += 1
            heapq.heappush(self._later, (due, self._count, key))
            self._changed.notify()
            QUEUED.set(len(self._due))

    def get(self) -> Key | None:
        """Wait for a key that is due and that nobody works on; None once the queue is closed."""
        with self._changed:
            while not self._closed:
                wait = self._take_due()
                key = self._next()
                if key is not None:
                    del self._due[key]
                    self._running.setdefault(self._group(key), set()).add(key)
                    QUEUED.set(len(self._due))
                    # Somebody else is to wait for what is still to come.
                    self._changed.notify()
                    return key
                self._changed.wait(wait)
            return None

    def done(self, key: Key, *, failed: bool = False) -> None:
        """Say that the work on a key has ended; a failure has it tried again, later each time."""
        with self._changed:
            group = self._group(key)
            self._running[group].discard(key)
            if not self._running[group]:
                del self._running[group]
            failures = self._failures.pop(key, 0)
            if failed:
                self._failures[key] = failures + 1
                self.add(key, min(FIRST_DELAY * 2**failures, LONGEST_DELAY))
            self._changed.notify()

    def close(self) -> None:
        """Let every `get` return None; what is being worked on goes on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _take_due(self) -> float | None:
        """Move what is due by now to its group; returns the seconds until more is, None where nothing is to come."""
        now = time.monotonic()
        while self._later:
            due, _, key = self._later[0]
            if due > now:
                return due - now
            heapq.heappop(self._later)
            if self._due.get(key) == due:
                self._now.setdefault(self._group(key), OrderedDict()).setdefault(key)
        return None

    def _next(self) -> Key | None:
        """Take a key of the first group that has one which may be worked on; its next turn comes after all others'."""
        for group, keys in self._now.items():
            running = self._running.get(group, set())
            if len(running) >= self._at_once:
                continue
            key = next((key for key in keys if key not in running), None)
            if key is None:
                continue
            del keys[key]
            if keys:
                self._now.move_to_end(group)
            else:
                del self._now[group]
            return key
        return None
