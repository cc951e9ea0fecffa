"""A queue of keys to work on: each at most once at a time, failures later and later, as controller-runtime's has it."""

import heapq
import threading
import time
from collections.abc import Hashable
from typing import Generic, TypeVar

from chrion_operator.cluster.metrics import QUEUED

Key = TypeVar("Key", bound=Hashable)

FIRST_DELAY, LONGEST_DELAY = 0.2, 60.0
"""Seconds until a key that failed is tried again, the first time and at most; twice as long each time."""


class WorkQueue(Generic[Key]):
    """Keys with the moment they are due. A key that is added while it is worked on is due again afterwards."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._running: set[Key] = set()
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
            self._push(key)
            QUEUED.set(len(self._due))

    def get(self) -> Key | None:
        """Wait for a key that is due and that nobody works on; None once the queue is closed."""
        with self._changed:
            while not self._closed:
                wait = self._until_due()
                if wait is not None and wait <= 0:
                    _, _, key = heapq.heappop(self._heap)
                    del self._due[key]
                    self._running.add(key)
                    QUEUED.set(len(self._due))
                    return key
                self._changed.wait(wait)
            return None

    def done(self, key: Key, *, failed: bool = False) -> None:
        """Say that the work on a key has ended; a failure has it tried again, later each time."""
        with self._changed:
            self._running.discard(key)
            failures = self._failures.pop(key, 0)
            if failed:
                self._failures[key] = failures + 1
                self.add(key, min(FIRST_DELAY * 2**failures, LONGEST_DELAY))
            if key in self._due:
                self._push(key)

    def close(self) -> None:
        """Let every `get` return None; what is being worked on goes on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _push(self, key: Key) -> None:
        self._count += 1
        heapq.heappush(self._heap, (self._due[key], self._count, key))
        self._changed.notify()

    def _until_due(self) -> float | None:
        while self._heap:
            due, _, key = self._heap[0]
            if self._due.get(key) == due and key not in self._running:
                return due - time.monotonic()
            # Superseded, or worked on right now: `done` puts it back.
            heapq.heappop(self._heap)
        return None
