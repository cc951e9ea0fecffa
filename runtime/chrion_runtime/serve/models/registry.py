"""The models behind a server and the state that its applications share."""

from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

from chrion_runtime.errors import Restarting, RuntimeFailure
from chrion_runtime.servable import Servable
from chrion_runtime.serve.access import Access
from chrion_runtime.serve.admission.admission import Admission, LongRuns
from chrion_runtime.serve.admission.body_budget import BodyBudget
from chrion_runtime.serve.admission.run_queue import RunQueue
from chrion_runtime.serve.codec.codec import Codec
from chrion_runtime.serve.metrics import Metrics
from chrion_runtime.serve.options import ServerOptions
from chrion_runtime.serve.protocol import Answer, Signature, Unread
from chrion_runtime.serve.protocol.errors import NotFound, ShuttingDown, Stuck, Unavailable
from chrion_runtime.serve.protocol.metadata import check_name, check_version
from chrion_runtime.serve.protocol.statistics import model_statistics
from chrion_runtime.serve.request.in_flight import InFlight
from chrion_runtime.serve.request.inference import Inference
from chrion_runtime.serve.telemetry import Followed, telemetry

STUCK_SECONDS = 2.0
"""A model is not ready when a run that was told to end has not after so long."""
LOST_SECONDS = 30.0
"""After so long the server no longer counts as alive, so that its supervisor restarts it."""


class ServedModel:
    """A servable with its line of waiting requests and its metrics."""

    def __init__(
        self,
        servable: Servable,
        metrics: Metrics,
        options: ServerOptions,
        codec: Codec | None,
        long_runs: LongRuns,
    ) -> None:
        self.servable = servable
        self.signature = Signature(servable.inputs, servable.outputs, servable.state)
        self.metrics = metrics.of(servable)
        # How many may wait is admission's to say.
        self.queue = RunQueue(servable.name, max(1, servable.concurrency), None, self.metrics.waited)
        self._admission = Admission(servable, options.queue_limit, long_runs)
        self._inference = Inference(servable, self.signature, self.queue, self.metrics, options, codec, self._admission)
        self.metrics.watch_queue(lambda: self.waiting)
        self._in_flight = InFlight()
        self._left = False

    @property
    def waiting(self) -> int:
        """Requests that wait for a run of the model to end."""
        return self._admission.waiting

    def check_ready(self) -> None:
        """Raise Restarting where the model has no process, Stuck where a run that was told to end holds it."""
        if not self.servable.ready:
            raise Restarting(self.servable.name)
        if not self.ready:
            raise Stuck(self.servable.name, self.queue.overdue)

    @property
    def ready(self) -> bool:
        """Whether requests can be answered."""
        return self.servable.ready and self.queue.overdue <= STUCK_SECONDS

    def statistics(self) -> dict[str, Any]:
        """What was asked of it, as Triton's statistics extension has it."""
        return model_statistics(self.servable.name, self.metrics.asked())

    def infer(
        self, raw: Unread, allowed: float | None = None, followed: Followed | None = None
    ) -> Answer | Coroutine[Any, Any, Answer]:
        """The answer to a request, or what to await for it; `allowed` in seconds. Raises ProtocolError and RunError."""
        if self._left:
            # Its body came after the model had gone.
            raise NotFound(f'model "{self.servable.name}" has been unloaded')
        outcome = self._inference.answer(raw, allowed, followed)
        return outcome if isinstance(outcome, Answer) else self._counted(outcome)

    async def _counted(self, outcome: Coroutine[Any, Any, Answer]) -> Answer:
        self._in_flight.enter()
        try:
            return await outcome
        finally:
            self._in_flight.leave()

    async def drained(self) -> None:
        """Begin nothing more, and wait until all that was begun is answered; called on the event loop."""
        self._left = True
        await self._in_flight.drained()

    def close(self, seconds: float) -> bool:
        """Wait for the runs under way; whether the servable could be closed within this time.

        One that still runs is left as it is: to close it under a run could crash the process.
        """
        if not self.queue.close(seconds):
            return False
        self.servable.close()
        return True


class ModelRegistry:
    """What stands between clients and the models. Raises RuntimeFailure when the models cannot be served together."""

    def __init__(self, servables: Sequence[Servable], options: ServerOptions) -> None:
        self.options = options
        self.metrics = Metrics()
        self.draining = False
        """Whether the server is on its way out."""
        self._in_flight = InFlight()
        names = [servable.name for servable in servables]
        for name in names:
            if names.count(name) > 1:
                raise RuntimeFailure(f'two models are named "{name}": rename one')
            check_name(name)
        for servable in servables:
            # Checked for all of them before the first thread starts.
            Signature(servable.inputs, servable.outputs, servable.state)
        self.telemetry = telemetry(options.otlp_endpoint)
        """What follows single requests; None where nothing does."""
        self.access = Access.of(options)
        """What is asked of clients."""
        self.bodies = BodyBudget(options.bodies_limit)
        self.codec = Codec(options.codec_processes) if options.codec_processes else None
        self._long_runs = LongRuns()
        self._models = {servable.name: self._served(servable) for servable in servables}

    def _served(self, servable: Servable) -> ServedModel:
        return ServedModel(servable, self.metrics, self.options, self.codec, self._long_runs)

    @property
    def names(self) -> tuple[str, ...]:
        """The models that are served."""
        return tuple(self._models)

    @property
    def models(self) -> tuple[ServedModel, ...]:
        """The same, as they are served."""
        return tuple(self._models.values())

    def add(self, servable: Servable) -> ServedModel | None:
        """Serve one more model from the next request on; gives the one of that name that was served before.

        Raises RuntimeFailure where it cannot be served.
        """
        try:
            check_name(servable.name)
            served = self._served(servable)
        except BaseException:
            servable.close()
            raise
        before = self._models.get(servable.name)
        self._models[servable.name] = served
        return before

    def remove(self, name: str) -> ServedModel:
        """Serve a model no more, from the next request on. Raises KeyError."""
        removed = self._models.pop(name)
        self.metrics.forget(name)
        return removed

    def model(self, name: str, version: str | None = None) -> ServedModel:
        """The model of that name and version. Raises NotFound."""
        model = self._models.get(name)
        if model is None:
            # Which others are is not for everyone who asks.
            raise NotFound(f'model "{name[:80]}" is not served here')
        check_version(name, version)
        return model

    def check_ready(self) -> None:
        """Raise Unavailable or Restarting unless requests are welcome: a server is ready while one of its models is."""
        if self.draining:
            raise ShuttingDown
        models = self.models
        if not any(model.ready for model in models):
            for model in models:
                model.check_ready()

    @property
    def ready(self) -> bool:
        """Whether requests are welcome."""
        with suppress(Unavailable, Restarting):
            self.check_ready()
            return True
        return False

    @property
    def alive(self) -> bool:
        """Whether no model is held for so long that only another process can serve it."""
        return all(model.queue.overdue <= LOST_SECONDS for model in self.models)

    @property
    def in_flight(self) -> int:
        """Requests in flight."""
        return self._in_flight.count

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
        self._in_flight.enter()

    def leave(self) -> None:
        """A request has ended."""
        self._in_flight.leave()

    async def drained(self) -> None:
        """Wait until no request is in flight."""
        await self._in_flight.drained()

    def close(self, seconds: float) -> list[str]:
        """Close every model; the names of those that did not end their runs within this time."""
        deadline = monotonic() + seconds
        if self.codec is not None:
            self.codec.close(seconds)
        stuck = [name for name, model in self._models.items() if not model.close(max(0.0, deadline - monotonic()))]
        if self.telemetry is not None:
            self.telemetry.close()
        return stuck
