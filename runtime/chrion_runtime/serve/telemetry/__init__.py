"""What is told of single requests, where numbers over all of them are not enough: traces, and lines in the log.

Both are off unless they are asked for, and then nothing of this is made: all that a request costs is one `is None`.
"""

import logging
import os
from collections.abc import Mapping
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Self

from chrion_runtime.errors import RuntimeFailure
from chrion_runtime.servable import StageObserver
from chrion_runtime.serve.protocol import InferRequest
from chrion_runtime.serve.protocol.errors import status_of
from chrion_runtime.serve.telemetry.fields import trace_id
from chrion_runtime.serve.telemetry.route import GRPC, HTTP, STREAM, Route

if TYPE_CHECKING:
    from chrion_runtime.serve.telemetry.tracing import Trace, Tracer

__all__ = ["GRPC", "HTTP", "STREAM", "Followed", "Telemetry", "TracingUnavailable", "telemetry"]

access = logging.getLogger("chrion_runtime.serve.access")


class TracingUnavailable(RuntimeFailure):
    """Traces are asked for and cannot be made."""


def telemetry(otlp_endpoint: str | None) -> "Telemetry | None":
    """What the options, the OTEL_* variables and the level of the log ask for; None where that is nothing.

    Raises TracingUnavailable where traces are asked for and the extra `otel` is not installed.
    """
    wanted = otlp_endpoint or any(
        os.environ.get(name) for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    )
    if wanted and os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        wanted = False
    tracer = _tracer(otlp_endpoint) if wanted else None
    if tracer is None and not access.isEnabledFor(logging.DEBUG):
        return None
    return Telemetry(tracer)


def _tracer(endpoint: str | None) -> "Tracer":
    try:
        from chrion_runtime.serve.telemetry.tracing import Tracer
    except ImportError:
        raise TracingUnavailable("traces need the extra otel: pip install 'chrion[otel]'") from None
    return Tracer(endpoint)


class Telemetry:
    """Follows each request from its head to its answer."""

    def __init__(self, tracer: "Tracer | None") -> None:
        self._tracer = tracer

    def follow(self, model: str, headers: Mapping[str, str], route: Route = HTTP) -> "Followed":
        """A context manager around the request that came with these headers, or metadata."""
        trace = None if self._tracer is None else self._tracer.begin(model, headers, route)
        return Followed(model, headers, route, trace)

    def close(self) -> None:
        """Send what has not been sent yet."""
        if self._tracer is not None:
            self._tracer.close()


class Followed:
    """One request that is told of."""

    def __init__(self, model: str, headers: Mapping[str, str], route: Route, trace: "Trace | None") -> None:
        self.request_id: str | None = None
        """The `id` that its client gave it; known once it is read."""
        self._model = model
        self._headers = headers
        self._route = route
        self._trace = trace
        self._began = perf_counter()

    def read(self, request: InferRequest) -> StageObserver | None:
        """It has been read; gives what wants to hear of its stages."""
        self.request_id = request.id
        return None if self._trace is None else self._trace.stage

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.end(error)

    def end(self, error: BaseException | None) -> None:
        """It was answered, or ended by an error."""
        status = 200 if error is None else status_of(error)
        if self._trace is not None:
            self._trace.end(status, error, self.request_id)
        if access.isEnabledFor(logging.DEBUG):
            took = (perf_counter() - self._began) * 1e3
            extra = {"model": self._model, "request_id": self.request_id, "trace_id": trace_id(self._headers)}
            outcome = "gone" if status is None else str(status)
            name = self._route.name.replace("{model}", self._model)
            access.debug("%s %s %.3f ms", name, outcome, took, extra=extra)
