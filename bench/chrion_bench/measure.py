"""Plan one model of the suite on this machine, and measure the plan against every baseline."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chrion import planning
from chrion_api import SLO, Frontier, Mode
from chrion_bench.contenders import DEFAULT, ONE_THREAD, baselines
from chrion_bench.limit import limit_seconds, weights_touched
from chrion_bench.suite import Entry
from chrion_bench.workplace import workplace
from chrion_graph.equality import difference
from chrion_graph.limits import Limits
from chrion_planner.errors import PlanningError
from chrion_planner.measuring import PlanContender, Result, contest, latency
from chrion_planner.measuring.statistics import ratio
from chrion_planner.planner import Settings, make_profile, measured_plans, silent
from chrion_planner.prepare import Prepared
from chrion_runtime.selection import select

PROCESSES = 2
"""Each contender runs in this many processes, one after the other: where its memory lies decides some of its speed."""
PLAN = "plan"
"""What the plan is called among the contenders; its own name stands beside it."""


@dataclass(frozen=True)
class Effort:
    """How long a model is measured."""

    rounds: int = 16
    """Turns that each contender takes in all its processes together."""
    turn_seconds: float = 0.06
    race_seconds: float = 30.0
    """After so long no further round starts: slow models have fewer of them. One round a process is always run."""
    plan_seconds: float = 180.0
    """What profiling and measuring candidates may take."""


def measure(entry: Entry, effort: Effort, bytes_per_second: float) -> dict[str, Any]:
    """The model's result as JSON data. Raises ChrionError where it cannot be planned, or the baseline or plan not run.

    Of the plan, `gain` and the limit are counted in the default session's time, from figures of the same rounds.
    """
    began = time.monotonic()
    with workplace() as folder:
        model = folder / "model.onnx"
        entry.write(model)
        job = planning.Job(model, entry.inputs, devices=("cpu",), timeout_seconds=effort.plan_seconds)
        settings = job.settings()
        prepared = job.prepare()
        profile = make_profile(prepared, settings)
        frontier = measured_plans(prepared, profile, settings).buckets[0]
        planned = time.monotonic()
        results = _race(prepared, frontier, settings, effort)
        original = prepared.buckets[0].variants[0].bucket
        weights = weights_touched(original.graph, original.shapes)
    contenders = _contenders(results)
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
        "limit": limit_seconds(one_thread, settings.cpu_lanes, weights, bytes_per_second),
        "predictions": _predictions(frontier),
        "seconds": {"planning": round(planned - began, 1), "comparing": round(time.monotonic() - planned, 1)},
    }


def _race(prepared: Prepared, frontier: Frontier, settings: Settings, effort: Effort) -> list[Result]:
    """The plan last, after every baseline; rounds of all processes one after the other."""
    feeds = prepared.buckets[0].feeds
    plan = select(frontier, SLO(), Mode.LATENCY).plan.model_copy(update={"name": PLAN})
    contenders = [
        *baselines(prepared.model, feeds),
        PlanContender(plan, prepared.folder, settings.devices, settings.cpu_lanes, feeds),
    ]
    found = [Result(contender.name) for contender in contenders]
    for process in range(PROCESSES):
        rounds = effort.rounds // PROCESSES + (process < effort.rounds % PROCESSES)
        results = contest(
            contenders,
            Limits(),
            rounds=rounds,
            turn_seconds=effort.turn_seconds,
            deadline=time.monotonic() + effort.race_seconds / PROCESSES,
            progress=silent,
        )
        for sofar, result in zip(found, results, strict=True):
            sofar.error = sofar.error or result.error or difference(result.outputs, results[0].outputs)
            sofar.rounds += result.rounds
    return found


def _contenders(results: Sequence[Result]) -> dict[str, dict[str, Any]]:
    """Latency and gain over the first by name, or why there is none."""
    base = results[0]
    for result in (base, results[1], results[-1]):
        if result.error or not result.rounds:
            raise PlanningError(f"{result.name} could not be measured: {result.error or 'time ran out'}")
    return {
        result.name: {"absent": result.error}
        if result.error
        else {**latency(result.rounds).to_data(), "gain": 1 / ratio(result.rounds, base.rounds)}
        for result in results
    }


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
