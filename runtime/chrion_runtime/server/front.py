"""The models behind a server and the state that its applications share."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

from chrion_runtime.errors import RuntimeFailure
from chrion_runtime.protocol import Answer, RawRequest, Signature
from chrion_runtime.protocol.errors import NotFound, ShuttingDown
from chrion_runtime.protocol.metadata import check_version
from chrion_runtime.servable import Servable
from chrion_runtime.server.body_budget import BodyBudget
from chrion_runtime.server.codec import Codec
from chrion_runtime.server.inference import Inference
from chrion_runtime.server.metrics import Metrics
from chrion_runtime.server.options import ServerOptions
from chrion_runtime.server.run_queue import RunQueue


class ServedModel:
    """A servable with its line of waiting requests and its metrics."""

    def __init__(self, servable: Servable, metrics: Metrics, options: ServerOptions, codec: Codec | None) -> None:
        self.servable = servable
        self.signature = Signature(servable.inputs, servable.outputs)
        self.metrics = metrics.of(servable)
        self.queue = RunQueue(servable.name, max(1, servable.concurrency), options.queue_limit, self.metrics.waited)
        self._inference = Inference(servable, self.signature, self.queue, self.metrics, options, codec)
        self.metrics.watch_queue(lambda: self._inference.waiting)

    def infer(self, raw: RawRequest, allowed: float | None = None) -> Answer | Coroutine[Any, Any, Answer]:
        """The answer to a request, or what to await for it; `allowed` in seconds. Raises ProtocolError and RunError."""
        return self._inference.answer(raw, allowed)

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
        self.bodies = BodyBudget(options.bodies_limit)
        self.codec = Codec(options.codec_processes) if options.codec_processes else None
        self._models = {
            servable.name: ServedModel(servable, self.metrics, options, self.codec) for servable in servables
        }

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
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def enter(self) -> None:
        """A request has begun."""
        self._busy += 1

    def leave(self) -> None:
        """A request has ended."""
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
        if self.codec is not None:
            self.codec.close(seconds)
        return [name for name, model in self._models.items() if not model.close(max(0.0, deadline - monotonic()))]
