"""OpenTelemetry traces by OTLP/HTTP: one span a request, and below it one a stage, with its lane and plan.

The OTEL_* variables hold: where traces go and with what headers, the sampler, the service's name, the batches.
"""

import time
from collections.abc import Mapping
from importlib.metadata import version
from threading import Thread
from typing import Any

from opentelemetry import trace as api
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from chrion_runtime.servable import StageLabel
from chrion_runtime.serve.telemetry.route import Route

CLOSE_SECONDS = 2.0
"""How long the server's end waits for a collector."""


class Tracer:
    """Makes the traces and sends them, on a thread of its own."""

    def __init__(self, endpoint: str | None) -> None:
        """`endpoint` is a collector's base URL; None takes the OTEL_* variables."""
        self._propagator = TraceContextTextMapPropagator()
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        url = None if endpoint is None else f"{endpoint.rstrip('/')}/v1/traces"
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
        self._tracer = self._provider.get_tracer("chrion", version("chrion"))
        # Spans are in nanoseconds of the wall clock, stages in seconds of perf_counter.
        self._epoch = time.time_ns() - time.perf_counter_ns()

    def begin(self, model: str, headers: Mapping[str, str], route: Route) -> "Trace | None":
        """The trace of a request, below the span that its `traceparent` names; None where it is not sampled."""
        span = self._tracer.start_span(
            route.name,
            self._propagator.extract(headers),
            api.SpanKind.SERVER,
            {**route.attributes, "chrion.model": model},
        )
        return Trace(span, self._tracer, self._epoch, route) if span.is_recording() else None

    def close(self) -> None:
        """Send what is left, as far as the collector takes it at once."""
        last = Thread(target=self._provider.shutdown, name="chrion-traces", daemon=True)
        last.start()
        last.join(CLOSE_SECONDS)


class Trace:
    """The spans of one request."""

    def __init__(self, span: api.Span, tracer: api.Tracer, epoch: int, route: Route) -> None:
        self._span = span
        self._tracer = tracer
        self._epoch = epoch
        self._status = route.status
        self._stages: list[tuple[StageLabel, float, float]] = []

    def stage(self, stage: StageLabel, began: float, seconds: float) -> None:
        """A stage has run. Its span is made at the end of the request, off the lanes' threads."""
        self._stages.append((stage, began, seconds))

    def end(self, status: int | None, error: BaseException | None, request_id: str | None) -> None:
        """The request is over; `status` is None where its client has gone."""
        span, below = self._span, api.set_span_in_context(self._span)
        for stage, began, seconds in self._stages:
            start = self._epoch + round(began * 1e9)
            attributes: dict[str, Any] = {
                "chrion.stage": stage.index,
                "chrion.lanes": stage.lanes,
                "chrion.plan": stage.plan,
                "chrion.bucket": stage.bucket,
            }
            one = self._tracer.start_span(f"stage {stage.index}", below, attributes=attributes, start_time=start)
            one.end(start + round(seconds * 1e9))
        if request_id is not None:
            span.set_attribute("chrion.request.id", request_id)
        if status is not None and self._status is not None:
            span.set_attribute(self._status, status)
        if error is not None:
            span.set_attribute("error.type", type(error).__name__)
        if status is None or status >= 500:
            span.set_status(api.StatusCode.ERROR, "the client has gone" if status is None else str(error))
        span.end()


def _resource() -> Resource:
    found = Resource.create({"service.version": version("chrion")})
    if str(found.attributes[SERVICE_NAME]).startswith("unknown_service"):
        found = found.merge(Resource({SERVICE_NAME: "chrion"}))
    return found
