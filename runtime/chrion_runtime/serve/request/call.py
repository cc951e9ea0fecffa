"""One inference request on its way, whichever transport it came by: what it holds, is counted as and is followed by.

A transport reads the bytes and writes the answer; what happens between is the same for all of them:

    with InferCall(registry, model, headers) as call:
        call.take(...)                  # each part of the body, as it comes
        answer = call.answer(...)       # the answer, or what to await for it
        ...                             # write it
        call.sent(answer)
"""

from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, Self

from chrion_runtime.serve.admission.deadline import allowed, least
from chrion_runtime.serve.models.registry import ModelRegistry, ServedModel
from chrion_runtime.serve.protocol import Answer, Unread
from chrion_runtime.serve.telemetry import HTTP
from chrion_runtime.serve.telemetry.route import Route


class InferCall:
    """One request, from when its model is known until it is answered; end it once, or use it in a `with` block."""

    __slots__ = ("_bodies", "_followed", "_held", "_watch", "headers", "model")

    def __init__(
        self, registry: ModelRegistry, model: ServedModel, headers: Mapping[str, str], route: Route = HTTP
    ) -> None:
        """`headers` are by name: of any case where they look names up so, else in small letters."""
        self.model = model
        self.headers = headers
        self._bodies = registry.bodies
        self._held = 0
        self._watch = model.metrics.begin()
        telemetry = registry.telemetry
        self._followed = None if telemetry is None else telemetry.follow(model.servable.name, headers, route)

    def take(self, size: int) -> None:
        """So many more bytes of its body have come. Raises TooMuch."""
        self._bodies.take(size)
        self._held += size

    def answer(self, raw: Unread, seconds: float | None = None) -> Answer | Coroutine[Any, Any, Answer]:
        """The answer to what has come, or what to await for it; `seconds` are what its transport allows from now.

        Raises ProtocolError, RunError.
        """
        self._watch.start()
        self.model.metrics.received(raw.size)
        return self.model.infer(raw, least(allowed(self.headers), seconds), self._followed)

    def sent(self, answer: Answer) -> None:
        """The answer has left."""
        self.model.metrics.sent(answer.size)

    def end(self, error: BaseException | None = None) -> None:
        """It is over, with an answer or an error: count it, and give back what it held."""
        self._bodies.give(self._held)
        self.model.metrics.end(self._watch, error)
        if self._followed is not None:
            self._followed.end(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.end(error)
