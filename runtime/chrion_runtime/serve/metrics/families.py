"""The numbers of all models as Prometheus' metric families, put together when they are asked for."""

import platform
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from chrion_runtime.choice.selection import latency
from chrion_runtime.latencies.histogram import BUCKETS, SHORT_BUCKETS, Histogram
from chrion_runtime.serve.metrics.model import ModelMetrics
from chrion_runtime.serve.planned import PlannedServable
from chrion_runtime.serve.protocol.metadata import MODEL_VERSION

Models = Sequence[ModelMetrics]


def collect(models: Models) -> Iterator[Metric]:
    """Every family; see the package's docstring for what each means."""
    yield _info()
    yield from _requests(models)
    yield from _objectives(models)
    yield from _plans(models)
    yield from _stages(models)
    yield from _figures(models)


def _info() -> Metric:
    info = GaugeMetricFamily("chrion_build_info", "The version of Chrion", labels=("version", "onnxruntime", "python"))
    info.add_metric((version("chrion"), _onnxruntime(), platform.python_version()), 1)
    return info


@cache
def _onnxruntime() -> str:
    for package in ("onnxruntime", "onnxruntime-gpu"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return ""


def _requests(models: Models) -> Iterator[Metric]:
    model = ("model",)
    info = GaugeMetricFamily(
        "chrion_model_info",
        "The models served, and the version of Chrion",
        labels=("model", "version", "server_version"),
    )
    seconds = HistogramMetricFamily(
        "chrion_request_seconds", "Latency, from the request read to the answer written", labels=("model", "outcome")
    )
    errors = CounterMetricFamily("chrion_errors", "Requests not answered, by reason", labels=("model", "reason"))
    in_flight = GaugeMetricFamily("chrion_requests_in_flight", "Requests in flight", labels=model)
    queue = GaugeMetricFamily("chrion_queue_length", "Requests waiting for the model", labels=model)
    wait = HistogramMetricFamily("chrion_queue_wait_seconds", "Time that requests waited before they ran", labels=model)
    bytes_in = CounterMetricFamily("chrion_request_bytes", "Bytes of request bodies as sent", labels=model)
    bytes_out = CounterMetricFamily("chrion_response_bytes", "Bytes of response bodies", labels=model)
    for one in models:
        name = one.servable.name
        info.add_metric((name, MODEL_VERSION, version("chrion")), 1)
        for outcome, histogram in one.requests.items():
            _add(seconds, (name, outcome), histogram, BUCKETS)
        for reason, count in tuple(one.refusals.items()):
            errors.add_metric((name, reason), count)
        in_flight.add_metric((name,), one.in_flight)
        queue.add_metric((name,), one.queue_length())
        _add(wait, (name,), one.queue_wait, SHORT_BUCKETS)
        bytes_in.add_metric((name,), one.bytes_in)
        bytes_out.add_metric((name,), one.bytes_out)
    yield from (info, seconds, errors, in_flight, queue, wait, bytes_in, bytes_out)


def _objectives(models: Models) -> Iterator[Metric]:
    by_percentile, model = ("model", "percentile"), ("model",)
    target = GaugeMetricFamily("chrion_slo_latency_seconds", "The objective", labels=by_percentile)
    observed = GaugeMetricFamily(
        "chrion_slo_observed_seconds", "The objective's percentile of the last minute's answers", labels=by_percentile
    )
    missed = CounterMetricFamily(
        "chrion_slo_missed", "Requests answered later than the objective's latency", labels=model
    )
    memory = GaugeMetricFamily("chrion_slo_gpu_memory_bytes", "The budget of GPU memory", labels=model)
    for one in models:
        if not isinstance(one.servable, PlannedServable):
            continue
        name, slo = one.servable.name, one.servable.slo
        percentile = f"{slo.percentile:g}"
        if slo.latency is not None:
            target.add_metric((name, percentile), slo.latency.seconds)
        if (found := one.recent().at(slo.percentile)) is not None:
            observed.add_metric((name, percentile), found)
        missed.add_metric((name,), one.missed)
        if slo.gpu_memory is not None:
            memory.add_metric((name,), slo.gpu_memory.bytes)
    yield from (target, observed, missed, memory)


def _plans(models: Models) -> Iterator[Metric]:
    labels = ("model", "bucket")
    info = GaugeMetricFamily("chrion_plan_info", "The plan in use", labels=(*labels, "plan", "mode"))
    seconds = GaugeMetricFamily("chrion_plan_seconds", "One run of the plan in use, as measured", labels=labels)
    meets = GaugeMetricFamily("chrion_plan_meets_slo", "Whether the plan in use meets the objective", labels=labels)
    off = CounterMetricFamily(
        "chrion_off_profile_requests", "Requests of shapes that no bucket was planned for", labels=("model",)
    )
    for one in models:
        servable = one.servable
        if not isinstance(servable, PlannedServable):
            continue
        off.add_metric((servable.name,), servable.off_profile)
        for frontier, selection in servable.in_use:
            where, plan = (servable.name, frontier.label), selection.plan
            info.add_metric((*where, plan.name, servable.mode.value), 1)
            seconds.add_metric(where, latency(plan, servable.slo))
            meets.add_metric(where, selection.meets_slo)
    yield from (info, seconds, meets, off)


def _stages(models: Models) -> Iterator[Metric]:
    on_lane = HistogramMetricFamily("chrion_stage_seconds", "Time that stages held each lane", labels=("model", "lane"))
    each = SummaryMetricFamily(
        "chrion_stage_run_seconds", "Time that each stage took", labels=("model", "bucket", "plan", "stage", "lanes")
    )
    busy = CounterMetricFamily(
        "chrion_lane_busy_seconds", "Seconds for which stages of any model held a lane", labels=("lane",)
    )
    for one in models:
        name, by_lane = one.servable.name, dict[str, Histogram]()
        for (labels, held), histogram in tuple(one.stages.items()):
            each.add_metric((name, *labels, ",".join(held)), histogram.count, histogram.sum)
            for lane in held:
                by_lane.setdefault(lane, Histogram(SHORT_BUCKETS)).add(histogram)
        for lane, histogram in sorted(by_lane.items()):
            _add(on_lane, (name, lane), histogram, SHORT_BUCKETS)
    for lane, seconds in sorted(lane_seconds(models).items()):
        busy.add_metric((lane,), seconds)
    yield from (on_lane, each, busy)


def _figures(models: Models) -> Iterator[Metric]:
    """What models count and measure of themselves."""
    found: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for one in models:
        for figure in one.servable.figures():
            kind = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
            labels = ("model", *figure.labels)
            family = found.setdefault(figure.name, kind(figure.name, figure.help, labels=labels))
            family.add_metric([one.servable.name, *figure.labels.values()], figure.value)
    yield from found.values()


def lane_seconds(models: Models) -> dict[str, float]:
    """Seconds in which stages of any of these models held each lane."""
    found: dict[str, float] = {}
    for one in models:
        for lane, seconds in one.lane_seconds().items():
            found[lane] = found.get(lane, 0.0) + seconds
    return found


def _add(family: HistogramMetricFamily, labels: Sequence[str], histogram: Histogram, bounds: Sequence[float]) -> None:
    family.add_metric(labels, histogram.cumulative(bounds), histogram.sum)
