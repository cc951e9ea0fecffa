"""The Prometheus metrics of a server.

| metric | labels | means |
|---|---|---|
| `chrion_build_info` | version, onnxruntime, python | always 1: which Chrion this is |
| `chrion_model_info` | model, version, server_version | always 1: what is served, and by which Chrion |
| `chrion_request_seconds` | model, outcome | histogram: from the request read to the answer written |
| `chrion_errors_total` | model, reason | requests that were not answered, by why |
| `chrion_requests_in_flight` | model | requests that have begun and are not answered |
| `chrion_queue_length` | model | requests that wait for a run of the model to end |
| `chrion_queue_wait_seconds` | model | histogram: what requests waited before the model ran |
| `chrion_request_bytes_total` | model | bytes of request bodies, as sent |
| `chrion_response_bytes_total` | model | bytes of the bodies of answers |
| `chrion_slo_latency_seconds` | model, percentile | the objective; absent where none is given |
| `chrion_slo_observed_seconds` | model, percentile | that percentile of the last minute's answers; absent without any |
| `chrion_slo_missed_total` | model | requests that were answered later than the objective's latency |
| `chrion_slo_gpu_memory_bytes` | model | the budget of GPU memory; absent where none is given |
| `chrion_plan_info` | model, bucket, plan, mode | always 1: the plan in use for each bucket of shapes |
| `chrion_plan_seconds` | model, bucket | what a run of it took at the objective's percentile when measured |
| `chrion_plan_meets_slo` | model, bucket | 1 where its measured latency meets the objective, else 0 |
| `chrion_off_profile_requests_total` | model | requests of shapes that no bucket was planned for |
| `chrion_stage_seconds` | model, lane | histogram: what stages took on each lane that they held |
| `chrion_stage_run_seconds` | model, bucket, plan, stage, lanes | summary: what each stage took; beyond 200: `other` |
| `chrion_lane_busy_seconds_total` | lane | seconds in which a lane was held by stages of any model |

The outcomes are `ok`; `refused`, a request at fault (4xx); `overloaded` (503); `failed` (other 5xx); and `gone`, a
client that did not wait for its answer. Requests for models that are not served here are not counted. What a model
counts and measures of itself (`Servable.figures`) is there too. Prometheus' own
`process_*` and `python_*` stand beside these.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from chrion_runtime.servable import Servable
from chrion_runtime.serve.metrics import families
from chrion_runtime.serve.metrics.model import ModelMetrics, Stopwatch

__all__ = ["Metrics", "ModelMetrics", "Stopwatch"]


class Metrics:
    """All metrics, in a registry of their own; what is served adds to plain numbers, which are read when asked for."""

    def __init__(self) -> None:
        self._models: dict[str, ModelMetrics] = {}
        self.registry = CollectorRegistry()
        self.registry.register(self)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

    def of(self, servable: Servable) -> ModelMetrics:
        """The metrics of one model; has its stages observed from now on.

        One that takes the place of another of its name goes on counting where that stopped.
        """
        found = self._models.get(servable.name)
        if found is None:
            found = self._models[servable.name] = ModelMetrics(servable)
        else:
            found.follow(servable)
        return found

    def forget(self, model: str) -> None:
        """Tell of a model no more."""
        self._models.pop(model, None)

    def collect(self) -> Iterator[Metric]:
        """What Prometheus is told."""
        return families.collect(tuple(self._models.values()))

    def describe(self) -> Iterator[Metric]:
        """Nothing: what is collected follows from what is served."""
        return iter(())

    def expose(self, accept: str) -> tuple[bytes, str]:
        """All metrics as bytes, and their content type, for an Accept header."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
