"""One model's requests from bytes to answer: read, admitted, run, written, each where it holds up nobody.

Small JSON and all binary tensors are read and written on the event loop, for to hand them to a thread costs more. Large
JSON goes through the codec's processes. A model whose runs are shorter than what handing over costs runs on the event
loop as well, as long as nothing else of it runs; any other runs on the threads of its queue.
"""

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

from chrion_runtime.devices.cpu import usable_cores
from chrion_runtime.errors import RunError
from chrion_runtime.protocol import Answer, InferRequest, Signature, Unread, Write
from chrion_runtime.protocol.errors import QueueFull, TimePassed, TooLate
from chrion_runtime.servable import Array, Servable, StageObserver
from chrion_runtime.server.batching import Batcher
from chrion_runtime.server.codec import Codec
from chrion_runtime.server.deadline import Deadline, least
from chrion_runtime.server.estimate import Pace, RunTimes
from chrion_runtime.server.margin import Margin
from chrion_runtime.server.metrics import ModelMetrics
from chrion_runtime.server.options import ServerOptions
from chrion_runtime.server.run_queue import RunQueue
from chrion_runtime.server.telemetry import Followed
from chrion_runtime.server.thread_clock import ThreadClock
from chrion_runtime.server.turns import Turns

HERE_SECONDS = 200e-6
"""Runs expected to be shorter take place on the event loop: handing over and back costs about as much."""
HERE_SECONDS_ONE_CORE = 1e-3
"""The same where there is but one core, so that a thread could do nothing beside the loop."""
BYTES_PER_NUMBER = 10
"""What a number takes in JSON, about."""


@dataclass(frozen=True)
class _Asked:
    """A request that was read, with what admission needs to know of it."""

    request: InferRequest
    write: Write
    """What writes its answer, in the form that it came in."""
    size: int
    """Its bytes, which tell how long it will run."""
    arrived: float
    allowed: float | None
    """Seconds from its arrival within which it shall be answered."""
    observer: StageObserver | None
    """What wants to hear of its stages."""
    client: float | None
    """The same as `allowed`, without the model's objective."""


@dataclass
class LongRuns:
    """Requests of all models that are on threads and not known to be short: they may have the lanes."""

    count: int = 0


class Inference:
    """Answers one model's requests; called on the event loop."""

    def __init__(
        self,
        servable: Servable,
        signature: Signature,
        queue: RunQueue,
        metrics: ModelMetrics,
        options: ServerOptions,
        codec: Codec | None,
        long_runs: LongRuns,
    ) -> None:
        self._servable = servable
        self._signature = signature
        self._specs = (servable.inputs, servable.outputs, tuple(servable.state.items()))
        self._queue = queue
        self._metrics = metrics
        self._options = options
        self._codec = codec
        self._turns = Turns()
        self._batcher = Batcher(servable, queue, options.batch) if options.batch > 1 else None
        self._workers = max(1, servable.concurrency)
        self._here_seconds = HERE_SECONDS if usable_cores() > 1 else HERE_SECONDS_ONE_CORE
        # Strings are read one by one in Python, also binary ones.
        self._strings = any(spec.dtype.hasobject for spec in (*servable.inputs, *servable.outputs))
        self.times = RunTimes()
        self.pace = Pace()
        self.margin = Margin()
        self._long_runs = long_runs

    @property
    def waiting(self) -> int:
        """Requests that wait for a run of the model to end."""
        return max(0, self.pace.ahead - self._workers)

    def answer(
        self, raw: Unread, allowed: float | None, followed: Followed | None
    ) -> Answer | Coroutine[Any, Any, Answer]:
        """The answer, where getting it took so little that the event loop could do it; else what to await for it.

        `allowed` is in seconds from now, None without a limit. Raises ProtocolError; RunError, with the request's id.
        """
        now = perf_counter()
        if self._codec is not None and raw.is_slow(self._options.large_json, self._strings):
            raw = raw.unpacked(min(self._options.large_json, self._options.body_limit))
            if raw.is_slow(self._options.large_json, self._strings):
                return self._large(self._codec, raw, allowed, followed, now)
        raw = raw.plain(self._options.body_limit)
        if self._long_runs.count:
            # It will not run on the event loop, so what cannot be answered in time is refused before it costs more.
            self._admit(raw.size, now, least(allowed, self._servable.deadline))
        request = raw.read(self._signature)
        observer = None if followed is None else followed.read(request)
        size = raw.size
        if not self._runs_here(size, now) or (request.sequence is not None and self._turns.taken(request.sequence.id)):
            client = least(allowed, request.timeout)
            return self._queued(_Asked(request, raw.write, size, now, self._allowed(client), observer, client))
        clock = ThreadClock()
        results, seconds = self._run(request, observer)
        # Where the system gave the core to someone else meanwhile, that says nothing of the model.
        own = clock.own(seconds) if seconds > self._here_seconds else seconds
        self.times.ran_here(size, own, self._here_seconds, now)
        self._metrics.waited(0.0)
        return self._written(raw.write, request, results, now, least(allowed, request.timeout))

    def _allowed(self, client: float | None) -> float | None:
        return least(client, self._servable.deadline)

    def _runs_here(self, size: int, now: float) -> bool:
        # It would wait for the lanes of runs that are under way: they must be short, too.
        return (
            not self._long_runs.count and self._batcher is None and self.times.fit_here(size, self._here_seconds, now)
        )

    async def _large(
        self, codec: Codec, raw: Unread, allowed: float | None, followed: Followed | None, now: float
    ) -> Answer:
        waits = Deadline(now, allowed, self._servable.deadline)
        request = await codec.read(raw, self._specs, self._options.body_limit, waits)
        size = sum(array.nbytes for array in request.inputs.values())
        write = raw.write
        del raw
        observer = None if followed is None else followed.read(request)
        client = least(allowed, request.timeout)
        if client is not None and perf_counter() - now > client:
            raise TimePassed(client, hurried=True)
        return await self._queued(_Asked(request, write, size, now, self._allowed(client), observer, client))

    async def _queued(self, asked: _Asked) -> Answer:
        behind = self.pace.ahead > 0
        self._admit(asked.size, asked.arrived, asked.allowed)
        self.pace.begin(perf_counter())
        long = not self.times.short(asked.size, self._here_seconds)
        self._long_runs.count += long
        ran = False
        try:
            results, seconds = await self._ran(asked.request, asked.observer)
            ran = True
        finally:
            self._long_runs.count -= long
            self.pace.end(perf_counter(), counted=ran)
        self.times.ran(asked.size, seconds)
        if behind and asked.allowed is not None:
            self.margin.ended(late=perf_counter() - asked.arrived > asked.allowed)
        answer = self._written(asked.write, asked.request, results, asked.arrived, asked.client)
        return answer if isinstance(answer, Answer) else await answer

    async def _ran(self, request: InferRequest, observer: StageObserver | None) -> tuple[Mapping[str, Array], float]:
        if request.sequence is not None:
            # It waits for its turn here, where it takes no thread from other sequences.
            async with self._turns.turn(request.sequence.id):
                return await self._queue.run(partial(self._run, request, observer))
        if self._batcher is not None and not self._strings:
            return await self._batcher.run(request, observer)
        return await self._queue.run(partial(self._run, request, observer))

    def _admit(self, size: int, arrived: float, allowed: float | None) -> None:
        """Refuse what waits too long, by what is ahead of it; where nothing is, it runs, and shows what it takes."""
        ahead = self.pace.ahead
        if ahead >= self._workers + self._options.queue_limit:
            raise QueueFull(
                f'model "{self._servable.name}" has {self._options.queue_limit} requests waiting already: '
                "try again later"
            )
        if not ahead:
            self.margin.idle()
            return
        if allowed is None:
            return
        own = self.times.expected(size)
        expected = self.pace.wait + (self.pace.seconds if own is None else own)
        left = allowed - (perf_counter() - arrived)
        if expected > left * self.margin.part:
            raise TooLate(self._servable.name, expected, left, hurried=allowed != self._servable.deadline)

    def _run(self, request: InferRequest, observer: StageObserver | None) -> tuple[Mapping[str, Array], float]:
        began = perf_counter()
        outputs = [output.name for output in request.outputs]
        more: dict[str, Any] = {}
        if request.sequence is not None:
            more["sequence"] = request.sequence
        if observer is not None:
            more["observer"] = observer
        try:
            results = self._servable.run(request.inputs, outputs, **more)
        except RunError as error:
            error.request_id = request.id
            raise
        return results, perf_counter() - began

    def _written(
        self,
        write: Write,
        request: InferRequest,
        results: Mapping[str, Array],
        arrived: float,
        client: float | None,
    ) -> Answer | Coroutine[Any, Any, Answer]:
        if self._codec is not None:
            numbers = sum(
                results[output.name].size
                for output in request.outputs
                if output.name in results and (self._strings or not output.binary)
            )
            size = numbers * BYTES_PER_NUMBER
            if size > self._options.large_json:
                deadline = Deadline(arrived, client, None)
                return self._codec.write(write, self._servable.name, request, results, size, deadline)
        return write(self._servable.name, request, results)
