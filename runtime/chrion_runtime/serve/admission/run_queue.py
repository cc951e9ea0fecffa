"""A line of blocking work, done by a fixed number of threads, for callers on an event loop.

Not a ThreadPoolExecutor: work whose caller has gone must leave the line at once, work whose time is up must end, and a
thread that is stuck in a model must not keep the process from exiting.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from time import monotonic, perf_counter
from typing import Any, Generic, TypeVar

from chrion_runtime.errors import RunStopped
from chrion_runtime.serve.protocol.errors import DeadlineExceeded, QueueFull
from chrion_runtime.stop import Stop

Result = TypeVar("Result")
Outcome = tuple[Result | None, BaseException | None]
Ended = Callable[[bool], None]
"""Told once that the work has ended, or never will begin, with whether it gave a result."""


class _Job(Generic[Result]):
    __slots__ = ("allowed", "ended", "future", "loop", "over", "queued", "stop", "work")

    def __init__(
        self,
        work: Callable[[], Result],
        stop: Stop | None,
        ended: Ended | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.work: Callable[[], Result] | None = work
        self.stop = stop
        self.ended = ended
        self.loop = loop
        self.future: asyncio.Future[Outcome[Result]] = loop.create_future()
        self.over = False
        self.allowed: float | None = None
        """The seconds that it was allowed, once they are over."""
        self.queued = perf_counter()


class RunQueue:
    """Threads that run work in the order it came."""

    def __init__(self, name: str, workers: int, limit: int | None, on_wait: Callable[[float], None]) -> None:
        """At most `limit` pieces wait while all threads are busy; any number where it is None.

        `on_wait` is called, on a thread of the queue, with the seconds that a piece waited.
        """
        self._name = name
        self._workers = workers
        self._limit = limit
        self._on_wait = on_wait
        self._lock = Lock()
        self._pending = 0
        self._stopped: dict[_Job[Any], float] = {}
        """Work that was told to end and has not yet, with when it was told."""
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._threads = [
            Thread(target=self._serve, name=f"chrion-{name}-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pending(self) -> int:
        """Pieces of work that run or wait."""
        return self._pending

    @property
    def waiting(self) -> int:
        """Pieces of work that wait for a thread."""
        return max(0, self._pending - self._workers)

    @property
    def overdue(self) -> float:
        """Seconds since work was told to end that has not ended; 0 where there is none."""
        with self._lock:
            since = min(self._stopped.values(), default=None)
        return 0.0 if since is None else monotonic() - since

    async def run(
        self,
        work: Callable[[], Result],
        *,
        stop: Stop | None = None,
        allowed: float | None = None,
        left: float | None = None,
        ended: Ended | None = None,
    ) -> Result:
        """Do `work` on a thread and give its result or raise its error; called on an event loop.

        When the caller is cancelled, or after `left` seconds, work that has not begun never will, and work that has is
        ended by `stop`; what comes of it is dropped. `ended` is called on the event loop when no thread is at it any
        more. Raises QueueFull when too much waits already, and DeadlineExceeded, which names the `allowed` seconds.
        """
        job = _Job(work, stop, ended, asyncio.get_running_loop())
        del work
        with self._lock:
            full = self._limit is not None and self._pending >= self._workers + self._limit
            self._pending += not full
        if full:
            _tell(job, ran=False)
            raise QueueFull(f"the {self._name} already has {self._limit} requests waiting: try again later")
        timer = None if left is None else job.loop.call_later(left, self._expire, job, allowed or left)
        self._jobs.put(job)
        try:
            result, error = await job.future
        except asyncio.CancelledError:
            self._end(job)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        try:
            if error is not None:
                raise error
            return result  # type: ignore[return-value]  # without an error there is a result
        finally:
            # As in _do.
            del job, error, result

    def close(self, seconds: float) -> bool:
        """Let the threads finish and end; whether they have, within this time. `run` must not be called any more."""
        deadline = monotonic() + seconds
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _expire(self, job: _Job[Any], allowed: float) -> None:
        job.allowed = allowed
        if not job.future.done() and self._end(job):
            job.future.set_result((None, DeadlineExceeded(allowed)))

    def _end(self, job: _Job[Any]) -> bool:
        """Have work not begin, or end; False where its result is on its way already."""
        with self._lock:
            begun = job.work is None
            if not begun:
                # What stays in the line is an empty job; the request it held is free.
                job.work = None
                self._pending -= 1
        if not begun:
            _tell(job, ran=False)
            return True
        if job.stop is not None and not job.over:
            with self._lock:
                self._stopped[job] = monotonic()
            return job.stop.set()
        return True

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._do(job)
            del job

    def _do(self, job: _Job[Any]) -> None:
        with self._lock:
            work, job.work = job.work, None
        if work is None:
            return
        self._on_wait(perf_counter() - job.queued)
        outcome: Outcome[Any]
        try:
            outcome = work(), None
        except BaseException as error:  # noqa: BLE001  the caller gets it
            outcome = None, error
        del work
        with self._lock:
            self._pending -= 1
        with suppress(RuntimeError):  # of a closed loop, on which nobody waits any more
            job.loop.call_soon_threadsafe(self._deliver, job, outcome)
        # An error's traceback holds this frame: without a way back to the error, the request is free at once.
        del job, outcome

    def _deliver(self, job: _Job[Any], outcome: Outcome[Any]) -> None:
        job.over = True
        with self._lock:
            self._stopped.pop(job, None)
        _tell(job, ran=outcome[1] is None)
        if job.allowed is not None and isinstance(outcome[1], RunStopped):
            outcome = None, DeadlineExceeded(job.allowed)
        if not job.future.done():
            job.future.set_result(outcome)


def _tell(job: _Job[Any], *, ran: bool) -> None:
    if job.ended is not None:
        job.ended(ran)
