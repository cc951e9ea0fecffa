"""What counting costs a request: `python -m chrion_bench.observing` prints it beside prometheus_client doing the same.

Both count one request as the server does: in flight, its seconds, its wait, its one stage, and its bytes in and out.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from types import MappingProxyType
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client import Histogram as PrometheusHistogram

from chrion_runtime.latencies.histogram import BUCKETS, SHORT_BUCKETS
from chrion_runtime.servable import Array, Figure, StageLabel, StageObserver, TensorSpec
from chrion_runtime.serve.metrics import Metrics

ROUNDS, REQUESTS = 15, 20_000


class _Model:
    name, concurrency = "m", 1
    deadline: float | None = None
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    state: Mapping[str, str] = MappingProxyType({})
    deciding: frozenset[str] = frozenset()
    ready = True
    hop_seconds = 0.0

    def run(self, *_: Any) -> dict[str, Array]:
        return {}

    def describe_plan(self) -> dict[str, Any]:
        return {}

    def forget(self, _: str) -> None:
        pass

    def answered(self, _: float) -> None:
        pass

    def figures(self) -> Sequence[Figure]:
        return ()

    def observe(self, observer: StageObserver) -> None:
        self.stage = observer

    def close(self) -> None:
        pass


def ours() -> Callable[[], None]:
    """Count a request as the server does."""
    model, stage = _Model(), StageLabel("x=1", "cpu-all", 0, ("cpu/0",))
    metrics = Metrics().of(model)
    waited = metrics.waited

    def request() -> None:
        with metrics.request() as watch:
            watch.start()
            metrics.received(200)
            waited(0.0001)
            model.stage(stage, 0.0, 0.0002)
            metrics.sent(200)

    return request


def prometheus() -> Callable[[], None]:
    """Count a request with prometheus_client's own objects, their labels set in advance."""
    registry = CollectorRegistry()

    def histogram(name: str, bounds: Sequence[float]) -> PrometheusHistogram:
        return PrometheusHistogram(name, name, ("model",), buckets=bounds, registry=registry).labels("m")

    seconds, waited, stage = (
        histogram("request", BUCKETS),
        histogram("wait", SHORT_BUCKETS),
        histogram("stage", SHORT_BUCKETS),
    )
    in_flight = Gauge("in_flight", "in_flight", ("model",), registry=registry).labels("m")
    received = Counter("received", "received", ("model",), registry=registry).labels("m")
    sent = Counter("sent", "sent", ("model",), registry=registry).labels("m")

    def request() -> None:
        in_flight.inc()
        began = perf_counter()
        received.inc(200)
        waited.observe(0.0001)
        stage.observe(0.0002)
        sent.inc(200)
        in_flight.dec()
        seconds.observe(perf_counter() - began)

    return request


def main() -> None:
    """Print the median over rounds, in turn, of what a request costs with each."""
    contenders = {"chrion": ours(), "prometheus_client": prometheus()}
    costs: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, request in contenders.items():
            began = perf_counter()
            for _ in range(REQUESTS):
                request()
            costs[name].append((perf_counter() - began) / REQUESTS)
    medians = {name: statistics.median(values) for name, values in costs.items()}
    for name, cost in medians.items():
        print(f"{name}: {cost * 1e6:.2f} µs a request, ×{cost / medians['chrion']:.2f}")


if __name__ == "__main__":
    main()
