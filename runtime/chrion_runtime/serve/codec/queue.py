"""What waits for a codec's processes: small bodies before large ones, each until its deadline.

Large ones may hold all processes but one, so that small ones never wait for a large one's seconds.
"""

import asyncio
import heapq
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Condition
from time import perf_counter
from typing import Any, TypeVar

from chrion_graph.worker import Worker
from chrion_runtime.serve.admission.deadline import Deadline
from chrion_runtime.serve.protocol.errors import CodecLost, DeadlineExceeded, ProtocolError, QueueFull, Waited

T = TypeVar("T")

HEAVY = 4 * 1024 * 1024
"""Bytes of a body from which on it is large."""
MOST_WAITING = 64
"""Bodies of either kind that may wait."""
_HEAD_START = 1e-6
"""Seconds for each byte: a body of a megabyte goes before one of two that came less than a second earlier. So smaller
ones go first, and none waits for ever."""

Work = Callable[[Worker], Any]


@dataclass(order=True)
class CodecJob:
    """One body to be read or written."""

    turn: float
    number: int
    work: Work = field(compare=False)
    heavy: bool = field(compare=False)
    future: "asyncio.Future[Any]" = field(compare=False)
    loop: asyncio.AbstractEventLoop = field(compare=False)
    begun: bool = field(default=False, compare=False)
    wanted: bool = field(default=True, compare=False)
    """Whether anybody still waits for it."""

    def deliver(self, result: Any, error: BaseException | None) -> None:
        """Tell who waits; called on any thread."""
        with suppress(RuntimeError):  # of a closed loop, on which nobody waits any more
            self.loop.call_soon_threadsafe(self._settle, result, error)

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


class CodecQueue:
    """Jobs in their order, put in on an event loop and taken out on threads."""

    def __init__(self) -> None:
        self._lock = Condition()
        self._waiting: dict[bool, list[CodecJob]] = {False: [], True: []}
        self._count = 0
        self._closed = False

    async def run(self, work: Callable[[Worker], T], size: int, deadline: Deadline) -> T:
        """Have `work` done for a body of `size` bytes, and give its result or raise its error.

        Work that has not begun when its caller is cancelled never will. Raises QueueFull; DeadlineExceeded when the
        client's time is up, be the work under way; Waited when it has not begun within the objective.
        """
        loop = asyncio.get_running_loop()
        job = self._put(work, size, loop)
        passed = perf_counter() - deadline.arrived
        timers = []
        if deadline.client is not None:
            error = DeadlineExceeded(deadline.client)
            timers.append(loop.call_later(deadline.client - passed, self._late, job, True, error))
        if deadline.objective is not None:
            timers.append(
                loop.call_later(deadline.objective - passed, self._late, job, False, Waited(deadline.objective))
            )
        try:
            return await job.future  # type: ignore[no-any-return]
        finally:
            for timer in timers:
                timer.cancel()
            self._forget(job)
            # An error's traceback holds this frame: without a way back to the job, its body is free at once.
            del job, work, timers

    def take(self, heavy: bool) -> CodecJob | None:
        """The next job, once there is one; None when the line is closed. `heavy` tells whether it may be large."""
        with self._lock:
            while not self._closed:
                kinds = [jobs for kind, jobs in self._waiting.items() if jobs and (heavy or not kind)]
                if kinds:
                    job = heapq.heappop(min(kinds, key=lambda jobs: jobs[0]))
                    job.begun = True
                    return job
                self._lock.wait()
        return None

    def close(self) -> None:
        """Let nobody wait any more, on either side."""
        with self._lock:
            self._closed = True
            left = [job for jobs in self._waiting.values() for job in jobs]
            for jobs in self._waiting.values():
                jobs.clear()
            self._lock.notify_all()
        for job in left:
            job.deliver(None, CodecLost())

    def _put(self, work: Work, size: int, loop: asyncio.AbstractEventLoop) -> CodecJob:
        with self._lock:
            if self._closed:
                raise CodecLost
            heavy = size > HEAVY
            waiting = self._waiting[heavy]
            if len(waiting) >= MOST_WAITING:
                raise QueueFull(f"{MOST_WAITING} bodies of large JSON are already waiting to be read: try again later")
            self._count += 1
            turn = perf_counter() + size * _HEAD_START
            job = CodecJob(turn, self._count, work, heavy, loop.create_future(), loop)
            heapq.heappush(waiting, job)
            self._lock.notify_all()
        return job

    def _late(self, job: CodecJob, begun: bool, error: ProtocolError) -> None:
        if (begun or not job.begun) and not job.future.done():
            job.future.set_exception(error)

    def _forget(self, job: CodecJob) -> None:
        with self._lock:
            job.wanted = False
            if not job.begun and job in self._waiting[job.heavy]:
                self._waiting[job.heavy].remove(job)
                heapq.heapify(self._waiting[job.heavy])
