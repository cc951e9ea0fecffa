"""What changes by the second, as JSON data: the page asks for it again and again."""

from importlib.metadata import version
from time import perf_counter
from typing import Any

from chrion_runtime.serve.metrics.families import lane_seconds
from chrion_runtime.serve.models.registry import ModelRegistry, ServedModel
from chrion_runtime.serve.planned import PlannedServable

PERCENTILES = (50, 90, 99)


def now(registry: ModelRegistry) -> dict[str, Any]:
    """The state of the server and of each model; times in seconds.

    `clock` counts on evenly, so that of two answers the differences tell what lanes did in between.
    """
    models = registry.models
    return {
        "version": version("chrion"),
        "ready": not registry.draining,
        "clock": perf_counter(),
        "lanes": dict(sorted(lane_seconds([model.metrics for model in models]).items())),
        "models": [_model(model) for model in models],
    }


def _model(model: ServedModel) -> dict[str, Any]:
    numbers, servable = model.metrics, model.servable
    recent, description = numbers.recent(), servable.describe_plan()
    data: dict[str, Any] = {
        "name": servable.name,
        "inFlight": numbers.in_flight,
        "waiting": numbers.queue_length(),
        "rate": recent.rate,
        "answered": recent.count,
        "latency": {f"p{percent}": recent.at(percent) for percent in PERCENTILES},
        "outcomes": {outcome: histogram.count for outcome, histogram in numbers.requests.items()},
        "errors": dict(numbers.refusals),
        "missed": numbers.missed,
        "moves": moves(description),
        "stale": (description.get("stale") or {}).get("message", ""),
    }
    if isinstance(servable, PlannedServable):
        slo = servable.slo
        data["objective"] = {
            "percentile": slo.percentile,
            "latency": None if slo.latency is None else slo.latency.seconds,
            "observed": recent.at(slo.percentile),
        }
        data["plans"] = [selection.plan.name for _, selection in servable.in_use]
    return data


def moves(description: dict[str, Any]) -> list[dict[str, str]]:
    """The changes of plan that a model tells of, the newest first."""
    found = description.get("moves", ())
    return [{key: str(move.get(key, "")) for key in ("time", "from", "to", "why")} for move in found]
