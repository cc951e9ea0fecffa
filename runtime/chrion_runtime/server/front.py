"""The models behind a server and the state that its applications share."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from time import monotonic

from chrion_runtime.errors import RuntimeFailure
from chrion_runtime.protocol import Answer, RawRequest, Signature, answer, infer, read
from chrion_runtime.protocol.errors import NotFound, ShuttingDown
from chrion_runtime.protocol.metadata import check_version
from chrion_runtime.servable import Servable
from chrion_runtime.server.metrics import Metrics
from chrion_runtime.server.options import ServerOptions
from chrion_runtime.server.run_queue import RunQueue
from chrion_runtime.server.turns import Turns

READ_HERE = 64 * 1024
"""Bytes of a body that are read on the event loop: it takes less time than handing them to a thread."""


class ServedModel:
    """A servable with its line of waiting requests and its metrics."""

    def __init__(self, servable: Servable, metrics: Metrics, options: ServerOptions) -> None:
        self.servable = servable
        self.signature = Signature(servable.inputs, servable.outputs, servable.state)
        self.metrics = metrics.of(servable)
        self._body_limit = options.body_limit
        self.queue = RunQueue(servable.name, max(1, servable.concurrency), options.queue_limit, self.metrics.waited)
        self._turns = Turns(servable.name, options.queue_limit)
        self.metrics.watch_queue(lambda: self.queue.waiting + self._turns.waiting)

    async def infer(self, raw: RawRequest) -> Answer:
        """Answer a request on one of the model's threads. Raises ProtocolError and RunError."""
        if self.servable.state:
            return await self._infer_in_sequence(raw)
        return await self.queue.run(partial(infer, self.servable, self.signature, raw, self._body_limit))

    async def _infer_in_sequence(self, raw: RawRequest) -> Answer:
        """Read which sequence a request is of before it takes a thread, so that it waits for its turn without one."""
        reading = partial(read, self.signature, raw, self._body_limit)
        short = len(raw.body) <= READ_HERE and not raw.encoding
        request = reading() if short else await self.queue.run(reading)
        answering = partial(answer, self.servable, request)
        if request.sequence is None:
            return await self.queue.run(answering)
        async with self._turns.turn(request.sequence.id):
            return await self.queue.run(answering)

    def close(self, seconds: float) -> bool:
        """Wait for the runs under way; whether the servable could be closed within this time.

        One that still runs is left as it is: to close it under a run could crash the process.
        """
        if not self.queue.close(seconds):
            return False
        self.servable.close()
        return True


class Front:
    """What stands between HTTP and the models. Raises RuntimeFailure when the models cannot be served together."""

    def __init__(self, servables: Sequence[Servable], options: ServerOptions) -> None:
        self.options = options
        self.metrics = Metrics()
        self.draining = False
        """Whether the server is on its way out."""
        self._busy = 0
        self._idle: asyncio.Event | None = None
        names = [servable.name for servable in servables]
        for name in names:
            if names.count(name) > 1:
                raise RuntimeFailure(f'two models are named "{name}": rename one')
        for servable in servables:
            # Checked for all of them before the first thread starts.
            Signature(servable.inputs, servable.outputs)
        self._models = {servable.name: ServedModel(servable, self.metrics, options) for servable in servables}

    def model(self, name: str, version: str | None = None) -> ServedModel:
        """The model of that name and version. Raises NotFound."""
        model = self._models.get(name)
        if model is None:
            known = ", ".join(f'"{one}"' for one in self._models)
            raise NotFound(f'model "{name[:80]}" is not served here; there is {known or "none"}')
        check_version(name, version)
        return model

    def check_ready(self) -> None:
        """Raise ShuttingDown unless requests are welcome."""
        if self.draining:
            raise ShuttingDown

    @property
    def in_flight(self) -> int:
        """Requests in flight."""
        return self._busy

    @contextmanager
    def busy(self) -> Iterator[None]:
        """A request is in flight inside the block; called on the event loop."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            if self._busy == 0 and self._idle is not None:
                self._idle.set()

    async def drained(self) -> None:
        """Wait until no request is in flight."""
        while self._busy:
            self._idle = asyncio.Event()
            await self._idle.wait()

    def close(self, seconds: float) -> list[str]:
        """Close every model; the names of those that did not end their runs within this time."""
        deadline = monotonic() + seconds
        return [name for name, model in self._models.items() if not model.close(max(0.0, deadline - monotonic()))]
