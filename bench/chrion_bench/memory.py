"""Memory mode against ONNX Runtime's own budgeted placement, offline: `python -m chrion_bench.memory`.

For each model a sweep of GPU budgets gives the points that ONNX Runtime's placement reaches. A frontier of plans
dominates where, for every such point, some plan takes less GPU memory at no more latency, or less latency in no more
memory. Both are predicted for one request in flight, from the same costs and by the same simulator: the CPU's are
measured here, the GPU is modelled (`chrion_bench.modelled`). Bytes leave out the process's CUDA context, which both
pay alike.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from chrion import planning
from chrion_api import HOST, Plan, Profile
from chrion_bench import machine
from chrion_bench.modelled import NAME, with_gpu
from chrion_bench.placement import Point, bytes_for_one, placements
from chrion_bench.suite import Entry, interleaved, suite, traits
from chrion_bench.tables import table
from chrion_bench.workplace import workplace
from chrion_graph.files import write_aside
from chrion_planner.partition import Budget
from chrion_planner.planner import make_profile, predicted_plans
from chrion_planner.plans import Rewritten

RESULTS = Path(__file__).resolve().parents[1] / "results"
BUDGETS = 20
"""Points of the sweep; those that place the same nodes count once."""
_EQUAL = 1e-9
"""Latencies nearer than this part are equal: the same sum in another order."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print a line a model, write the figures; 1 where a model failed."""
    parser = argparse.ArgumentParser(prog="python -m chrion_bench.memory", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only models with this in the name")
    parser.add_argument("--limit", type=int, help="only so many models, an even sample of the suite")
    parser.add_argument("--output", type=Path, default=RESULTS / "memory-modelled-h100.json")
    options = parser.parse_args(arguments)
    entries = {entry.name: entry for entry in suite()}
    order = interleaved({name: traits(name) for name in entries})
    chosen = [entries[name] for name in order if any(part in name for part in options.only or [""])][: options.limit]
    about = {"date": time.strftime("%Y-%m-%d"), **machine.describe(), "gpu": "modelled H100", "suite": len(entries)}
    results: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    for place, entry in enumerate(chosen, 1):
        try:
            item = compare(entry)
        except Exception as error:  # noqa: BLE001, one bad model must not end the run
            failures.append({"model": entry.name, "error": f"{type(error).__name__}: {error}"})
            print(f"{place}/{len(chosen)} {entry.name}: failed: {failures[-1]['error']}", flush=True)
            continue
        results.append(item)
        print(f"{place}/{len(chosen)} {entry.name}: {_said(item)}", flush=True)
        report = {**about, "results": results, "failures": failures}
        write_aside(options.output, json.dumps(report, indent=1) + "\n")
        write_aside(options.output.with_suffix(".md"), page(report))
    won = sum(item["dominates"] for item in results)
    print(f"the frontier dominates on {won} of {len(results)} models")
    return 1 if failures else 0


def compare(entry: Entry) -> dict[str, Any]:
    """One model's points and plans as JSON data. Raises ChrionError where it cannot be profiled."""
    with workplace() as folder:
        model = folder / "model.onnx"
        entry.write(model)
        job = planning.PlanningTask(model, entry.inputs, devices=(HOST,))
        prepared = job.prepare()
        profile = with_gpu(prepared, make_profile(prepared, job.settings()))
        plans = predicted_plans(prepared, profile, Budget()).buckets[0].plans
        original = prepared.buckets[0].variants[0]
        points = placements(original.bucket, profile, NAME, BUDGETS)
        variants = {variant.bucket.graph.digest: variant for variant in prepared.buckets[0].variants}
        found = [(plan.name, plan_point(plan, variants[plan.graph], profile)) for plan in plans]
    rows = [_beside(point, found) for point in points]
    return {
        "model": entry.name,
        "family": entry.family,
        "dominates": all(row["beaten"] for row in rows),
        "points": rows,
        "plans": [{"plan": name, "seconds": point.seconds, "bytes": point.bytes} for name, point in found],
    }


def plan_point(plan: Plan, variant: Rewritten, profile: Profile) -> Point:
    """What the plan of this variant is predicted to take, counted as for ONNX Runtime's placements.

    The profile's run of a whole graph on a GPU leaves out the copies of request and answer: they are added here.
    """
    seconds = plan.predicted_seconds
    if len(plan.stages) == 1 and plan.stages[0].device != HOST:
        graph, shapes = variant.bucket.graph, variant.bucket.shapes
        for names in (graph.inputs, graph.outputs):
            nbytes = sum(graph.value_bytes(name, shapes) for name in names)
            copy = next(item for item in profile.transfers if HOST in (item.source, item.target))
            seconds += copy.latency_seconds + nbytes / copy.bytes_per_second
    return Point(seconds, bytes_for_one(plan.gpu_bytes, variant.bucket, plan.stages))


def beats(plan: Point, other: Point, equal: float = _EQUAL) -> bool:
    """Whether the plan is no worse in either, and better in one; latencies nearer than the part `equal` are equal."""
    as_fast = plan.seconds <= other.seconds * (1 + equal)
    faster = plan.seconds < other.seconds * (1 - equal)
    return (as_fast and plan.bytes < other.bytes) or (faster and plan.bytes <= other.bytes)


def _beside(point: Point, plans: Sequence[tuple[str, Point]]) -> dict[str, Any]:
    """One point of ONNX Runtime's, with the smallest plan that is as fast; `saved` is the part of its bytes."""
    fast = [(plan.bytes, name) for name, plan in plans if plan.seconds <= point.seconds * (1 + _EQUAL)]
    nbytes, name = min(fast, default=(None, None))
    return {
        "seconds": point.seconds,
        "bytes": point.bytes,
        "beaten": any(beats(plan, point) for _, plan in plans),
        "plan": name,
        "saved": None if nbytes is None else 1 - nbytes / point.bytes,
    }


def page(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    results = report["results"]
    won = sum(item["dominates"] for item in results)
    rows = []
    for item in results:
        saved = [row["saved"] for row in item["points"] if row["saved"] is not None]
        full = max(item["points"], key=lambda row: row["bytes"], default=None)
        rows.append(
            [
                item["model"],
                "yes" if item["dominates"] else "no",
                f"{sum(row['beaten'] for row in item['points'])} of {len(item['points'])}",
                f"{median(saved):.0%}" if saved else "-",
                f"{min(saved):.0%}" if saved else "-",
                f"{full['seconds'] * 1e3:.3f}" if full else "-",
                f"{min(plan['seconds'] for plan in item['plans']) * 1e3:.3f}",
            ]
        )
    header = (
        "model",
        "dominates",
        "points beaten",
        "GPU bytes saved, median",
        "least",
        "ONNX Runtime, all on the GPU, ms",
        "fastest plan, ms",
    )
    return (
        f"# Memory mode: {report['machine']['cpu']} with a modelled H100\n\n"
        f"The frontier dominates ONNX Runtime's budgeted placement on {won} of {len(results)} models, of "
        f"{report['suite']} in the suite; {len(report['failures'])} failed. {report['date']}, at commit "
        f"{report['commit']}. The CPU is measured, the GPU is a model of one: "
        "[docs/benchmarks.md](../../docs/benchmarks.md).\n\n" + table(header, rows) + "\n"
    )


def _said(item: dict[str, Any]) -> str:
    saved = [row["saved"] for row in item["points"] if row["saved"] is not None]
    beaten = sum(row["beaten"] for row in item["points"])
    return f"{beaten} of {len(item['points'])} points beaten" + (f", {median(saved):.0%} saved" if saved else "")


if __name__ == "__main__":
    sys.exit(main())
