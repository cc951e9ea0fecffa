"""The load generator: a process of its own that sends prepared requests and times their answers.

`python client.py JOB.json` prints one JSON document. It knows nothing of Chrion and parses no answer, so that the
server is the bottleneck: a request is bytes written to a keep-alive connection, an answer is its status and length.

A closed loop keeps every connection busy. An open loop sends at a rate whatever the answers do, and counts latency from
when a request was due, not from when a connection was free for it.
"""

import asyncio
import json
import random
import sys
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from itertools import cycle
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import uvloop

LATE_SECONDS = 30.0
"""What answers may take once nothing more is sent."""


@dataclass(frozen=True)
class Job:
    """What to send, where, how and for how long."""

    port: int
    requests: tuple[str, ...]
    """Files with whole HTTP requests, sent in turn."""
    seconds: float
    rate: float | None = None
    """Requests a second of an open loop; None for a closed loop."""
    poisson: bool = False
    """Whether an open loop's gaps are random (Poisson), and not even."""
    connections: int = 8
    """All of them in a closed loop; in an open loop the most that may be open."""
    warm_seconds: float = 0.5
    """What is sent before, and not counted."""
    marks: tuple[float, ...] = ()
    """Seconds at which to begin a new count, for load that changes; each with a rate of `rates`."""
    rates: tuple[float, ...] = ()
    within: float = 0.0
    """Seconds of which is told what part of the answers with status 200 took no longer."""
    slow: float = inf
    """Seconds: of answers that took longer it is told when they came."""


@dataclass
class Count:
    """Answers of one stretch of time: seconds by status, 0 for a connection that was lost."""

    began: float = 0.0
    seconds: float = 0.0
    latencies: dict[int, list[float]] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    warm: int = 0
    """Answers before, which do not count."""
    slow: float = inf
    slow_at: list[float] = field(default_factory=list)
    """When answers came that took longer than `slow` seconds, by the clock that processes share."""

    def add(self, status: int, seconds: float, head: bytes) -> None:
        """One answer."""
        self.latencies.setdefault(status, []).append(seconds)
        if seconds > self.slow:
            self.slow_at.append(perf_counter())
        if status != 200:
            self.errors[head[:300].decode("latin-1")] += 1

    def summary(self, within: float) -> dict[str, Any]:
        """What is told of it."""
        good = self.latencies.get(200, [])
        return {
            "within": sum(took <= within for took in good) / len(good) if good else 0.0,
            "warm": self.warm,
            "began": self.began,
            "seconds": self.seconds,
            "sent": self.sent,
            "slowAt": self.slow_at,
            "answers": {str(status): _spread(found) for status, found in self.latencies.items()},
            "errors": [{"answer": text, "count": count} for text, count in self.errors.most_common(3)],
        }


def _spread(found: list[float]) -> dict[str, float]:
    found.sort()
    last = len(found) - 1
    named = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}
    return {"count": len(found), **{name: found[round(last * part)] for name, part in named.items()}}


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, client: "Client") -> None:
        self.client = client
        self.due = 0.0
        self.count: Count | None = None
        self._buffer = bytearray()
        self._wanted = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes, due: float, count: Count) -> None:
        """Send one request that was due at that time."""
        self.due, self.count, self._wanted = due, count, -1
        count.sent += 1
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._wanted < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._wanted = end + 4 + _length(bytes(self._buffer[:end]).lower())
        if len(self._buffer) >= self._wanted:
            self._done()

    def _done(self) -> None:
        count, self.count = self.count, None
        assert count is not None
        status = int(self._buffer[9:12])
        count.add(status, perf_counter() - self.due, bytes(self._buffer[-300:]) if status != 200 else b"")
        closing = status != 200 and b"connection: close" in bytes(self._buffer).lower()
        self._buffer.clear()
        if closing:
            self.transport.close()
            self.client.lost(self)
        else:
            self.client.free(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self.count is not None:
            self.count.add(0, perf_counter() - self.due, repr(error).encode())
            self.count = None
        self.client.lost(self)


def _length(head: bytes) -> int:
    at = head.find(b"content-length:")
    if at < 0:
        raise SystemExit(f"an answer without Content-Length: {head!r}")
    return int(head[at + 15 : head.find(b"\r", at) if b"\r" in head[at:] else len(head)])


class Client:
    """Sends the requests of one job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.requests = cycle([Path(name).read_bytes() for name in job.requests])
        self.idle: deque[Connection] = deque()
        self.open: set[Connection] = set()
        self.connecting = 0
        self.waiting: deque[tuple[float, Count]] = deque()
        self.until = float("inf")
        self._tasks: set[asyncio.Task[None]] = set()
        self.warm = Count()
        self.count = self.warm

    async def connect(self) -> None:
        """One more connection, free at once."""
        self.connecting += 1
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(self), "127.0.0.1", self.job.port
            )
        except OSError as error:
            if self.waiting:
                due, count = self.waiting.popleft()
                count.sent += 1
                count.add(0, perf_counter() - due, repr(error).encode())
            return
        finally:
            self.connecting -= 1
        self.open.add(connection)
        self.free(connection)

    def free(self, connection: Connection) -> None:
        """A connection has nothing under way."""
        if self.job.rate is None:
            now = perf_counter()
            if now < self.until:
                connection.send(next(self.requests), now, self.count)
        elif self.waiting:
            connection.send(next(self.requests), *self.waiting.popleft())
        else:
            self.idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""
        self.open.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        if self.job.rate is None and perf_counter() < self.until:
            self._connect_soon()

    def _connect_soon(self) -> None:
        task = asyncio.ensure_future(self.connect())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _send(self, due: float, count: Count) -> None:
        if self.idle:
            self.idle.pop().send(next(self.requests), due, count)
            return
        self.waiting.append((due, count))
        if len(self.open) + self.connecting < self.job.connections and self.connecting < len(self.waiting):
            self._connect_soon()

    async def run(self) -> list[Count]:
        """Send everything; the counts by stretch."""
        return await (self._closed() if self.job.rate is None else self._opened())

    async def _closed(self) -> list[Count]:
        for _ in range(self.job.connections):
            await self.connect()
        await asyncio.sleep(self.job.warm_seconds)
        began = perf_counter()
        self.count = Count(0.0, self.job.seconds)
        self.until = began + self.job.seconds
        await asyncio.sleep(self.job.seconds)
        # Answered within the time, that is: what is under way then belongs to no rate.
        measured = Count(0.0, perf_counter() - began, {key: list(value) for key, value in self.count.latencies.items()})
        measured.errors, measured.sent = self.count.errors.copy(), self.count.sent
        measured.warm = sum(map(len, self.warm.latencies.values()))
        await self._settle()
        return [measured]

    async def _opened(self) -> list[Count]:
        job = self.job
        assert job.rate is not None
        for _ in range(min(8, job.connections)):
            await self.connect()
        await self._pace(job.warm_seconds, job.rate, self.warm)
        await self._settle()
        marks = (0.0, *job.marks)
        rates = (job.rate, *job.rates)
        counts = [
            Count(mark, end - mark, slow=job.slow) for mark, end in zip(marks, (*job.marks, job.seconds), strict=True)
        ]
        for count, rate in zip(counts, rates, strict=True):
            await self._pace(count.seconds, rate, count)
        await self._settle()
        return counts

    async def _pace(self, seconds: float, rate: float, count: Count) -> None:
        """Spins, for it has a core of its own, and timers are as coarse as a model is long."""
        gaps = random.Random(0)
        due, end = perf_counter(), perf_counter() + seconds
        while due < end:
            now = perf_counter()
            while due <= now and due < end:
                self._send(due, count)
                due += gaps.expovariate(rate) if self.job.poisson else 1 / rate
            await asyncio.sleep(0)

    async def _settle(self) -> None:
        """Wait for the answers that are under way."""
        end = perf_counter() + LATE_SECONDS
        while (self.waiting or any(one.count for one in self.open)) and perf_counter() < end:
            await asyncio.sleep(0.002)
        for one in list(self.open):
            if one.count is not None:
                one.transport.abort()


def main() -> None:
    """Read a job, send it, say what came back."""
    job = Job(**json.loads(Path(sys.argv[1]).read_bytes()))
    counts = uvloop.run(Client(job).run())
    json.dump([count.summary(job.within) for count in counts], sys.stdout)


def job_data(job: Job) -> dict[str, Any]:
    """A job as JSON data."""
    return asdict(job)


if __name__ == "__main__":
    main()
