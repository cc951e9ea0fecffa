"""Lanes: in-order queues of work, each with one blocking worker, and the right to use a lane."""

import heapq
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from itertools import count
from typing import Any

Work = Callable[[], None]


class Inbox:
    """Work for one thread; what has arrived is taken in the planned order, oldest request first."""

    def __init__(self) -> None:
        self._arrived: queue.SimpleQueue[tuple[Any, int, Work | None]] = queue.SimpleQueue()
        self._waiting: list[tuple[Any, int, Work | None]] = []
        self._ticket = count()

    def put(self, order: tuple[float, ...], work: Work | None) -> None:
        """Add work; None ends the reader once all that is smaller was taken."""
        self._arrived.put((order, next(self._ticket), work))

    def get(self) -> Work | None:
        """The next piece of work; blocks while there is none."""
        if not self._waiting:
            heapq.heappush(self._waiting, self._arrived.get())
        while not self._arrived.empty():
            heapq.heappush(self._waiting, self._arrived.get_nowait())
        return heapq.heappop(self._waiting)[2]


class Lanes:
    """The lanes of one process; every plan of every model in it runs over these."""

    def __init__(self) -> None:
        self._rights: dict[str, threading.Lock] = {}
        self._inboxes: dict[str, Inbox] = {}
        self._workers: list[threading.Thread] = []
        self._guard = threading.Lock()

    def open(self, names: Sequence[str], workers: bool) -> None:
        """Make lanes that do not exist yet; with `workers`, give each a thread of its own."""
        with self._guard:
            for name in names:
                self._rights.setdefault(name, threading.Lock())
                if workers and name not in self._inboxes:
                    inbox = self._inboxes[name] = Inbox()
                    worker = threading.Thread(target=_work, args=(inbox,), name=f"lane {name}", daemon=True)
                    self._workers.append(worker)
                    worker.start()

    def submit(self, name: str, order: tuple[float, ...], work: Work) -> None:
        """Queue work on a lane's worker."""
        self._inboxes[name].put(order, work)

    def hold(self, names: Sequence[str]) -> AbstractContextManager[object]:
        """Use some lanes alone; every stage takes its lanes in one order, so none waits for another in a ring."""
        if len(names) == 1:
            return self._rights[names[0]]
        held = ExitStack()
        for name in sorted(names):
            held.enter_context(self._rights[name])
        return held

    def close(self) -> None:
        """End the workers when their queues are empty."""
        for inbox in self._inboxes.values():
            inbox.put((float("inf"),), None)
        for worker in self._workers:
            worker.join(timeout=5)
        self._inboxes.clear()
        self._workers.clear()


def _work(inbox: Inbox) -> None:
    while (work := inbox.get()) is not None:
        work()
        del work  # it holds its request's values, on a device perhaps, and the next may be long in coming
