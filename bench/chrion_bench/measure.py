"""Plan one model of the suite on this machine, and measure the plan against every baseline."""

import time
from collections.abc import Mapping
from typing import Any

from chrion import planning
from chrion_api import SLO, Frontier, Mode
from chrion_bench.contenders import DEFAULT, INT8, ONE_THREAD, baselines, largest_error
from chrion_bench.limit import limit_seconds, weights_touched
from chrion_bench.physical import physical_seconds
from chrion_bench.race import Effort, figures, race
from chrion_bench.suite import Entry
from chrion_bench.workplace import workplace
from chrion_planner.errors import PlanningError
from chrion_planner.measuring import PlanContender, Result
from chrion_planner.planner import make_profile, measured_plans
from chrion_planner.prepare import Prepared
from chrion_planner.settings import PlanningSettings
from chrion_runtime.choice.selection import select

PLAN = "plan"
"""What the plan is called among the contenders; its own name stands beside it."""


def measure(entry: Entry, effort: Effort, machine: Mapping[str, Any]) -> dict[str, Any]:
    """The model's result on this machine as JSON data.

    Raises ChrionError where it cannot be planned, or the baseline or plan not run.

    Of the plan, `gain` and the limit are counted in the default session's time, from figures of the same rounds.
    """
    began = time.monotonic()
    with workplace() as folder:
        model = folder / "model.onnx"
        entry.write(model)
        job = planning.PlanningTask(model, entry.inputs, devices=("cpu",), timeout_seconds=effort.plan_seconds)
        settings = job.settings()
        prepared = job.prepare()
        profile = make_profile(prepared, settings)
        frontier = measured_plans(prepared, profile, settings).buckets[0]
        planned = time.monotonic()
        results = _race(prepared, frontier, settings, effort)
        original = prepared.buckets[0].variants[0].bucket
        weights = weights_touched(original.graph, original.shapes)
        feeds, cores = prepared.buckets[0].feeds, settings.cpu_lanes
        physical = physical_seconds(original.graph, original.shapes, feeds, machine["speeds"], cores)
    contenders = figures(results)
    exact = results[0].outputs
    for result in results:
        if result.name == INT8 and "p50" in contenders[INT8]:
            contenders[INT8]["largestError"] = largest_error(result.outputs, exact)
    plan = select(frontier, SLO(), Mode.LATENCY).plan
    default = contenders[DEFAULT]["p50"]
    one_thread = default / contenders[ONE_THREAD]["gain"]
    return {
        "model": entry.name,
        "family": entry.family,
        "wholeLayer": entry.whole_layer,
        "inputs": {name: list(shape) for name, shape in frontier.inputs.items()},
        "plan": {"name": plan.name, "stages": len(plan.stages), "rewrites": [item.name for item in plan.rewrites]},
        "contenders": contenders,
        "weightBytes": weights,
        "limit": limit_seconds(one_thread, cores, weights, machine["memoryBytesPerSecond"]),
        "physicalLimit": physical,
        "predictions": _predictions(frontier),
        "seconds": {"planning": round(planned - began, 1), "comparing": round(time.monotonic() - planned, 1)},
    }


def _race(prepared: Prepared, frontier: Frontier, settings: PlanningSettings, effort: Effort) -> list[Result]:
    """The plan last, after every baseline. Raises PlanningError where one that must be there is not."""
    feeds = prepared.buckets[0].feeds
    plan = select(frontier, SLO(), Mode.LATENCY).plan.model_copy(update={"name": PLAN})
    plan_contender = PlanContender(plan, prepared.folder, settings.devices, settings.cpu_lanes, feeds)
    results = race([*baselines(prepared.model, feeds), plan_contender], effort, inexact={INT8})
    for result in (results[0], results[1], results[-1]):
        if result.error or not result.rounds:
            raise PlanningError(f"{result.name} could not be measured: {result.error or 'time ran out'}")
    return results


def _predictions(frontier: Frontier) -> list[dict[str, Any]]:
    """Predicted beside measured latency of every candidate that was measured."""
    return [
        {
            "plan": plan.name,
            "stages": plan.stages,
            "predicted": plan.predicted_seconds,
            "measured": plan.measured.p50,
        }
        for plan in frontier.candidates
        if plan.measured
    ]
