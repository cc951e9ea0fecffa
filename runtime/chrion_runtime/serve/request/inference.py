"""One model's requests from bytes to answer: read, admitted, run, written, each where it holds up no other.

Small JSON and all binary tensors are read and written on the event loop, because handing them to a thread costs more.
Large JSON goes through the codec's processes. Requests whose kind runs for less time than a hand-over costs run on the
event loop as well, as long as nothing else runs; all others run on the threads of the model's queue, where they are
ended at their deadline or when their client has left.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from math import inf
from time import perf_counter
from typing import Any

from chrion_runtime.errors import RunError
from chrion_runtime.servable import Array, Servable, StageObserver
from chrion_runtime.serve.admission.admission import Admission
from chrion_runtime.serve.admission.answer_budget import ANSWERS, SMALL, answer_bytes
from chrion_runtime.serve.admission.deadline import Deadline, least
from chrion_runtime.serve.admission.run_queue import Ended, RunQueue
from chrion_runtime.serve.admission.thread_clock import ThreadClock
from chrion_runtime.serve.admission.workload import Kind, Workload
from chrion_runtime.serve.codec.codec import Codec
from chrion_runtime.serve.metrics import ModelMetrics
from chrion_runtime.serve.options import ServerOptions
from chrion_runtime.serve.protocol import Answer, InferRequest, Signature, Unread, Write
from chrion_runtime.serve.protocol.errors import DeadlineExceeded
from chrion_runtime.serve.request.batching import Batcher
from chrion_runtime.serve.request.sequence_turns import SequenceTurns
from chrion_runtime.serve.telemetry import Followed
from chrion_runtime.stop import Stop

PATIENCE, LEAST_PATIENCE_SECONDS = 10, 1.0
"""An objective's latency is a soft target: a run ends at so many times of it, and not before so many seconds."""
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
    wanted: float | None
    """Seconds from its arrival within which it shall be answered: what admission looks at."""
    allowed: float
    """Seconds from its arrival after which its run is ended."""
    observer: StageObserver | None
    """What wants to hear of its stages."""
    client: float | None
    """Seconds from its arrival that its client allows; None without a limit."""

    @property
    def left(self) -> float:
        """Seconds from now after which its run is ended."""
        return self.allowed - (perf_counter() - self.arrived)


def _patience(objective: float | None) -> float | None:
    """Seconds after which a request is given up because of its model's objective, which single ones may miss."""
    return None if objective is None else max(LEAST_PATIENCE_SECONDS, objective * PATIENCE)


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
        admission: Admission,
    ) -> None:
        self._servable = servable
        self._signature = signature
        self._specs = (servable.inputs, servable.outputs, tuple(servable.state.items()))
        self._queue = queue
        self._metrics = metrics
        self._options = options
        self._codec = codec
        self._turns = SequenceTurns()
        self._batcher = Batcher(servable, queue, options.batch) if options.batch > 1 else None
        self._admission = admission
        # Strings are read one by one in Python, also binary ones.
        self._strings = any(spec.dtype.hasobject for spec in (*servable.inputs, *servable.outputs))
        self._workload = Workload(servable.deciding)

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
        if not self._admission.lanes_are_free:
            # It will not run on the event loop, so what cannot be answered in time is refused before it costs more.
            objective = self._servable.deadline
            self._admission.check(raw.size, now, least(allowed, objective), objective)
        request = raw.read(self._signature)
        observer = None if followed is None else followed.read(request)
        size, kind = raw.size, self._workload.kind(request.inputs)
        turn = request.sequence
        if kind is None or not self._runs_here(kind, now) or (turn is not None and self._turns.taken(turn.key)):
            return self._queued(self._asked(request, raw.write, size, now, allowed, observer))
        clock = ThreadClock()
        results, seconds = self._run(request, observer)
        self._admission.ran_here(size, kind, seconds, clock, now)
        self._metrics.waited(0.0)
        self._metrics.ran(seconds)
        client = allowed if request.timeout is None else least(allowed, request.timeout)
        return self._written(raw.write, request, results, now, client)

    def _runs_here(self, kind: Kind, now: float) -> bool:
        return self._batcher is None and self._admission.runs_here(kind, now)

    def _asked(
        self,
        request: InferRequest,
        write: Write,
        size: int,
        arrived: float,
        allowed: float | None,
        observer: StageObserver | None,
    ) -> _Asked:
        client, objective = least(allowed, request.timeout), self._servable.deadline
        end = min(least(client, _patience(objective)) or inf, self._options.run_seconds)
        return _Asked(request, write, size, arrived, least(client, objective), end, observer, client)

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
            raise DeadlineExceeded(client)
        return await self._queued(self._asked(request, write, size, now, allowed, observer))

    async def _queued(self, asked: _Asked) -> Answer:
        kind = self._workload.kind(asked.request.inputs)
        admitted = self._admission.admit(asked.size, kind, asked.arrived, asked.wanted, self._servable.deadline)
        results, seconds = await self._ran(asked, partial(self._admission.end, admitted))
        self._admission.answered(admitted, seconds)
        self._metrics.ran(seconds)
        answer = self._written(asked.write, asked.request, results, asked.arrived, asked.client)
        return answer if isinstance(answer, Answer) else await answer

    async def _ran(self, asked: _Asked, ended: Ended) -> tuple[Mapping[str, Array], float]:
        request, step, allowed = asked.request, asked.request.sequence, asked.allowed
        if step is not None:
            # It waits for its turn here, where it takes no thread from other sequences.
            try:
                async with asyncio.timeout(asked.left):
                    await self._turns.take(step.key)
            except BaseException as error:
                ended(False)
                if isinstance(error, TimeoutError):
                    raise DeadlineExceeded(allowed) from None
                raise

            def left(ran: bool) -> None:
                self._turns.leave(step.key)
                ended(ran)

            return await self._once(asked, left)
        if self._batcher is not None and not self._strings:
            return await self._batcher.run(request, asked.observer, allowed=allowed, left=asked.left, ended=ended)
        return await self._once(asked, ended)

    async def _once(self, asked: _Asked, ended: Ended) -> tuple[Mapping[str, Array], float]:
        stop = Stop()
        work = partial(self._run, asked.request, asked.observer, stop)
        return await self._queue.run(work, stop=stop, allowed=asked.allowed, left=asked.left, ended=ended)

    def _run(
        self, request: InferRequest, observer: StageObserver | None, stop: Stop | None = None
    ) -> tuple[Mapping[str, Array], float]:
        began = perf_counter()
        outputs = [output.name for output in request.outputs]
        more: dict[str, Any] = {}
        if request.sequence is not None:
            more["sequence"] = request.sequence
        if observer is not None:
            more["observer"] = observer
        if stop is not None:
            more["stop"] = stop
        try:
            results = self._servable.run(request.inputs, outputs, **more)
        except RunError as error:
            error.request_id = request.id
            raise
        return results, perf_counter() - began

    def _written(
        self, write: Write, request: InferRequest, results: Mapping[str, Array], arrived: float, client: float | None
    ) -> Answer | Coroutine[Any, Any, Answer]:
        nbytes = answer_bytes(request, results)
        if nbytes <= self._options.large_json:
            return write(self._servable.name, request, results)
        until = Deadline(arrived, client, None)
        if nbytes <= SMALL:
            return self._write(write, request, results, until)
        return self._weighed(nbytes, write, request, results, until)

    async def _weighed(
        self, nbytes: int, write: Write, request: InferRequest, results: Mapping[str, Array], until: Deadline
    ) -> Answer:
        with ANSWERS.share(nbytes) as hold:
            answer = self._write(write, request, results, until)
            answer = answer if isinstance(answer, Answer) else await answer
            hold(answer)
            return answer

    def _write(
        self, write: Write, request: InferRequest, results: Mapping[str, Array], until: Deadline
    ) -> Answer | Coroutine[Any, Any, Answer]:
        if self._codec is not None:
            numbers = sum(
                results[output.name].size
                for output in request.outputs
                if output.name in results and (self._strings or not output.binary)
            )
            size = numbers * BYTES_PER_NUMBER
            if size > self._options.large_json:
                return self._codec.write(write, self._servable.name, request, results, size, until)
        return write(self._servable.name, request, results)
