"""Large JSON is read and written in processes of their own, so that it never holds this one's interpreter for long.

orjson parses a megabyte in one call of several milliseconds, in which no lane of this process gets from one stage to
the next; no switch interval helps against that. Copying the bytes to another process takes a tenth of it. What else is
read value by value goes the same way: many strings, and typed values over gRPC.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from typing import TypeVar

from chrion_graph.errors import InvalidModel, LimitExceeded
from chrion_graph.worker import Worker, WorkerFailed
from chrion_runtime.protocol import Answer, InferRequest, Signature, Unread, Write
from chrion_runtime.protocol.errors import AnswerFailed, CodecLost, ProtocolError
from chrion_runtime.servable import Array, TensorSpec
from chrion_runtime.server.run_queue import RunQueue

T = TypeVar("T")
Specs = tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], tuple[tuple[str, str], ...]]
"""What a signature is made of: inputs, outputs, and state as outputs with their inputs."""

QUEUE_LIMIT = 64
"""Pieces of large JSON that may wait for a process."""
SECONDS = 60.0
"""After so long a process is taken to hang."""


class Codec:
    """Processes that read and write JSON, each with a thread that waits for it; started when first wanted.

    They are spawned, die with this process, and are started anew when they end.
    """

    def __init__(self, processes: int) -> None:
        self._queue = RunQueue("codec", processes, QUEUE_LIMIT, lambda _: None)
        self._here = threading.local()
        self._closed = False
        self.workers: set[Worker] = set()
        """The processes that live."""

    async def read(self, raw: Unread, specs: Specs, limit: int) -> InferRequest:
        """Read in another process; what is compressed is inflated on the way. Raises ProtocolError."""
        return await self._queue.run(partial(self._read, raw, specs, limit))

    async def write(self, write: Write, model: str, request: InferRequest, results: Mapping[str, Array]) -> Answer:
        """Have `write` called in another process. Raises ProtocolError."""
        # The request's own arrays need not go along.
        bare = InferRequest(request.id, {}, request.outputs)
        return await self._queue.run(partial(self._call, _write, write, model, bare, dict(results)))

    def close(self, seconds: float) -> None:
        """End the processes."""
        self._closed = True
        for worker in tuple(self.workers):
            self._end(worker)
        self._queue.close(seconds)

    def _read(self, raw: Unread, specs: Specs, limit: int) -> InferRequest:
        # zlib lets other threads run, so inflating may as well be done here, and errors keep their own types.
        return self._call(_read, raw.plain(limit), specs)

    def _call(self, function: Callable[..., T], *arguments: object) -> T:
        for _ in range(2):
            if self._closed:
                break
            worker = self._worker()
            try:
                return worker.call(function, *arguments, seconds=SECONDS, what="large JSON")
            except ProtocolError:
                raise
            except WorkerFailed as error:
                raise AnswerFailed(str(error)) from None
            except (InvalidModel, LimitExceeded):
                # It was killed, perhaps for someone else's request: this one has another try.
                self._end(worker)
        raise CodecLost

    def _worker(self) -> Worker:
        worker: Worker | None = getattr(self._here, "worker", None)
        if worker is None or worker not in self.workers:
            worker = self._here.worker = Worker()
            self.workers.add(worker)
        return worker

    def _end(self, worker: Worker) -> None:
        self.workers.discard(worker)
        with suppress(OSError):
            worker.kill()


@lru_cache(maxsize=64)
def _signature(specs: Specs) -> Signature:
    inputs, outputs, state = specs
    return Signature(inputs, outputs, dict(state))


def _read(raw: Unread, specs: Specs) -> InferRequest:
    return raw.read(_signature(specs))


def _write(write: Write, model: str, request: InferRequest, results: Mapping[str, Array]) -> Answer:
    answer = write(model, request, results)
    return Answer(tuple(bytes(part) for part in answer.parts), answer.header_length)
