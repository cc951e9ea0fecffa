"""A bounded line of blocking work, done by a fixed number of threads, for callers on an event loop.

Not a ThreadPoolExecutor: work whose caller has gone must leave the line at once, and a thread that is stuck in a model
must not keep the process from exiting.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from time import monotonic, perf_counter
from typing import Any, Generic, TypeVar

from chrion_runtime.protocol.errors import QueueFull

Result = TypeVar("Result")
Outcome = tuple[Result | None, BaseException | None]


class _Job(Generic[Result]):
    __slots__ = ("future", "loop", "queued", "work")

    def __init__(self, work: Callable[[], Result], loop: asyncio.AbstractEventLoop) -> None:
        self.work: Callable[[], Result] | None = work
        self.loop = loop
        self.future: asyncio.Future[Outcome[Result]] = loop.create_future()
        self.queued = perf_counter()


class RunQueue:
    """Threads that run work in the order it came; at most `limit` pieces wait while all threads are busy.

    `on_wait` is called, on a thread of the queue, with the seconds that a piece waited.
    """

    def __init__(self, name: str, workers: int, limit: int, on_wait: Callable[[float], None]) -> None:
        self._name = name
        self._workers = workers
        self._limit = limit
        self._on_wait = on_wait
        self._lock = Lock()
        self._pending = 0
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

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do `work` on a thread and give its result or raise its error; called on an event loop.

        When the caller is cancelled, work that has not begun never will, and the result of work that has is dropped.
        Raises QueueFull when too much waits already.
        """
        job = _Job(work, asyncio.get_running_loop())
        del work
        with self._lock:
            if self._pending >= self._workers + self._limit:
                raise QueueFull(f'model "{self._name}" has {self._limit} requests waiting already: try again later')
            self._pending += 1
        self._jobs.put(job)
        try:
            result, error = await job.future
        except asyncio.CancelledError:
            self._withdraw(job)
            raise
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

    def _withdraw(self, job: _Job[Any]) -> None:
        with self._lock:
            if job.work is not None:
                # What stays in the line is an empty job; the request it held is free.
                job.work = None
                self._pending -= 1

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
            job.loop.call_soon_threadsafe(_deliver, job.future, outcome)
        # An error's traceback holds this frame: without a way back to the error, the request is free at once.
        del job, outcome


def _deliver(future: asyncio.Future[Outcome[Any]], outcome: Outcome[Any]) -> None:
    if not future.done():
        future.set_result(outcome)
