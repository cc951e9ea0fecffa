"""Lanes as one model uses them: in-order queues of work, a blocking worker each, and the lock that lets it run."""

import heapq
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import count
from operator import attrgetter
from typing import Any

from chrion_runtime.run.lane_locks import FairLock, LaneLock, LaneLocks, held

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
    """The lanes of one model, which all its plans run over.

    Workers and queues are the model's own; the locks of the lanes may be shared with the other models of the process.
    """

    def __init__(self, locks: LaneLocks | None = None) -> None:
        """`locks` are this model's alone unless they are given."""
        self._shared = locks or LaneLocks()
        self.alike: tuple[str, ...] = ()
        """Lanes that may stand for each other, such as a CPU's; to be set before the first are opened. A model whose
        plans need only some gets those that the fewest others use."""
        self._shift: int | None = None
        self._locks: dict[str, LaneLock] = {}
        self._together: dict[tuple[str, ...], _Together] = {}
        self._inboxes: dict[str, Inbox] = {}
        self._workers: list[threading.Thread] = []
        self._guard = threading.Lock()
        self._tickets = count(1)
        self._shared.join(self)

    def open(self, names: Sequence[str], workers: bool) -> None:
        """Make lanes that do not exist yet; with `workers`, give each a thread of its own."""
        with self._guard:
            if self._shift is None:
                shifts = range(max(1, len(self.alike)))
                self._shift = self._shared.quietest([[self._real(name, by) for name in names] for by in shifts])
            for name in names:
                if name not in self._locks:
                    self._locks[name] = self._shared.of(self._real(name, self._shift), self)
                if workers and name not in self._inboxes:
                    inbox = self._inboxes[name] = Inbox()
                    worker = threading.Thread(target=_work, args=(inbox,), name=f"lane {name}", daemon=True)
                    self._workers.append(worker)
                    worker.start()

    def _real(self, name: str, shift: int) -> str:
        """The lane that stands for the one that a plan names."""
        if name not in self.alike:
            return name
        return self.alike[(self.alike.index(name) + shift) % len(self.alike)]

    def ticket(self) -> int:
        """A number for a request: work of the least one goes first in the queues."""
        return next(self._tickets)

    def submit(self, name: str, order: tuple[float, ...], work: Work) -> None:
        """Queue work on a lane's worker."""
        self._inboxes[name].put(order, work)

    def hold(self, names: Sequence[str]) -> AbstractContextManager[object]:
        """Use some lanes alone; every stage takes its lanes in one order, so none waits for another in a ring."""
        if len(names) == 1 and not self._shared.shared:
            return self._locks[names[0]].alone
        if not self._shared.shared and (together := self._together.get(tuple(names))) is not None:
            return together
        locks = sorted((self._locks[name] for name in names), key=attrgetter("name"))
        if self._shared.shared:
            return held(locks, self)
        return self._together.setdefault(tuple(names), _Together([lock.alone for lock in locks]))

    def close(self) -> None:
        """End the workers when their queues are empty."""
        with self._guard:
            workers, self._workers = self._workers, []
            inboxes, self._inboxes = self._inboxes, {}
        for inbox in inboxes.values():
            inbox.put((float("inf"),), None)
        for worker in workers:
            worker.join(timeout=5)
        self._shared.leave(self)


class _Together:
    """Several lanes held at once; in short runs an ExitStack rebuilt each time would show."""

    def __init__(self, locks: Sequence[FairLock]) -> None:
        self._locks = locks

    def __enter__(self) -> None:
        for lock in self._locks:
            lock.acquire()

    def __exit__(self, *_: object) -> None:
        for lock in self._locks:
            lock.release()


def _work(inbox: Inbox) -> None:
    while (work := inbox.get()) is not None:
        work()
        del work  # it holds its request's values, on a device perhaps, and the next may be long in coming
