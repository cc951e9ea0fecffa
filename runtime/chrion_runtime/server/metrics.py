"""The Prometheus metrics of a server.

| metric | labels | means |
|---|---|---|
| `chrion_model_info` | model, version, server_version | always 1: what is served, and by which Chrion |
| `chrion_request_seconds` | model, outcome | histogram: from the request read to the answer written |
| `chrion_requests_in_flight` | model | requests that have begun and are not answered |
| `chrion_queue_length` | model | requests that wait for a run of the model to end |
| `chrion_queue_wait_seconds` | model | histogram: what requests waited before the model ran |
| `chrion_stage_seconds` | model, lane | histogram: what each stage took, by the lane it ran on |
| `chrion_request_bytes_total` | model | bytes of request bodies, as sent |
| `chrion_response_bytes_total` | model | bytes of the bodies of answers |

What a model counts and measures of itself (`Servable.figures`) is there too.

The outcomes are `ok`; `refused`, a request at fault (4xx); `overloaded` (503); `failed` (other 5xx); and `gone`, a
client that did not wait for its answer. Requests for models that are not served here are not counted.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from math import inf
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from chrion_runtime.protocol.errors import ProtocolError
from chrion_runtime.protocol.metadata import MODEL_VERSION
from chrion_runtime.servable import Servable
from chrion_runtime.server.figures import Figures

BUCKETS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds; stages and waits are often far below a request."""
SHORT_BUCKETS = (1e-5, 2.5e-5, 5e-5, *BUCKETS)

OUTCOMES = ("ok", "refused", "overloaded", "failed", "gone")


class Metrics:
    """All metrics, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        model, lane = ("model",), ("model", "lane")
        self.info = Gauge(
            "chrion_model_info",
            "What is served, and by which Chrion",
            ("model", "version", "server_version"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "chrion_request_seconds",
            "From the request read to the answer written",
            ("model", "outcome"),
            buckets=BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge("chrion_requests_in_flight", "Requests begun and not answered", model, registry=registry)
        self.queue_length = Gauge(
            "chrion_queue_length", "Requests that wait for a run of the model to end", model, registry=registry
        )
        self.queue_wait = Histogram(
            "chrion_queue_wait_seconds",
            "What requests waited before the model ran",
            model,
            buckets=SHORT_BUCKETS,
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "chrion_stage_seconds",
            "What each stage took, by the lane it ran on",
            lane,
            buckets=SHORT_BUCKETS,
            registry=registry,
        )
        self.figures = Figures()
        registry.register(self.figures)
        self.bytes_in = Counter("chrion_request_bytes", "Bytes of request bodies, as sent", model, registry=registry)
        self.bytes_out = Counter("chrion_response_bytes", "Bytes of the bodies of answers", model, registry=registry)

    def of(self, servable: Servable) -> "ModelMetrics":
        """The metrics of one model; has its stages observed from now on."""
        return ModelMetrics(self, servable)

    def forget(self, model: str) -> None:
        """Tell of a model no more."""
        self.figures.forget(model)
        for metric in (
            self.info,
            self.request_seconds,
            self.in_flight,
            self.queue_length,
            self.queue_wait,
            self.stage_seconds,
            self.bytes_in,
            self.bytes_out,
        ):
            metric.remove_by_labels({"model": model})


class ModelMetrics:
    """The metrics of one model, with its label already set."""

    def __init__(self, metrics: Metrics, servable: Servable) -> None:
        name = servable.name
        metrics.info.labels(name, MODEL_VERSION, version("chrion")).set(1)
        self._seconds = {outcome: metrics.request_seconds.labels(name, outcome) for outcome in OUTCOMES}
        self._in_flight = metrics.in_flight.labels(name)
        self._queue_length = metrics.queue_length.labels(name)
        self._stage_seconds = metrics.stage_seconds
        self._lanes: dict[str, Histogram] = {}
        self._name = name
        self.waited: Callable[[float], None] = metrics.queue_wait.labels(name).observe
        """Takes the seconds that a request waited in line."""
        self.received: Callable[[float], None] = metrics.bytes_in.labels(name).inc
        """Takes the bytes of a request body."""
        self.sent: Callable[[float], None] = metrics.bytes_out.labels(name).inc
        """Takes the bytes of an answer's body."""
        self._answered = servable.answered
        servable.observe(self._stage)
        metrics.figures.add(servable)

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Have the queue's length read when the metrics are."""
        self._queue_length.set_function(length)

    @contextmanager
    def request(self) -> Iterator["Stopwatch"]:
        """Count and time the request that is answered inside the block."""
        watch = self.begin()
        error: BaseException | None = None
        try:
            yield watch
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.end(watch, error)

    def begin(self) -> "Stopwatch":
        """A request has begun; `end` must follow."""
        self._in_flight.inc()
        return Stopwatch()

    def end(self, watch: "Stopwatch", error: BaseException | None) -> None:
        """It was answered, or ended by an error."""
        self._in_flight.dec()
        outcome, seconds = _outcome(error), watch.seconds
        self._seconds[outcome].observe(seconds)
        if outcome == "ok":
            self._answered(seconds)
        elif outcome == "overloaded":
            self._answered(inf)

    def _stage(self, _index: int, lane: str, seconds: float) -> None:
        histogram = self._lanes.get(lane)
        if histogram is None:
            histogram = self._lanes[lane] = self._stage_seconds.labels(self._name, lane)
        histogram.observe(seconds)


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "ok"
    if isinstance(error, ConnectionError) or not isinstance(error, Exception):
        return "gone"
    if isinstance(error, ProtocolError) and error.status != 500:
        return "overloaded" if error.status == 503 else "refused"
    return "failed"


class Stopwatch:
    """Seconds since it was started."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Count from now."""
        self._started = perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since `start`."""
        return perf_counter() - self._started
