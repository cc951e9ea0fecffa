"""Measure plans that round weights, beside ONNX Runtime with and without weights of 8 bits:
`python -m chrion_bench.precision`.

Each contender runs alone in a process of its own; they take turns.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx

from chrion import planning
from chrion_api import SLO, Mode, Plan, Precision, WeightFormat
from chrion_bench import machine
from chrion_bench.contenders import CONTROL, DEFAULT, INT8, Int8Contender
from chrion_bench.precision.summary import PLANS, aims, page
from chrion_bench.race import Effort, figures, race
from chrion_bench.side_bench import RESULTS, parser, tell, write
from chrion_bench.workplace import workplace
from chrion_graph.equality import error
from chrion_models.families.case import ModelCase
from chrion_models.families.stack import stack
from chrion_planner.measuring import Contender, PlanContender, SessionContender
from chrion_runtime.choice.selection import select

FORMAT = 1
CASES = (
    stack("LSTM", "forward", 1, 512, 128, 1),
    stack("GRU", "forward", 1, 400, 128, 1),
    stack("GRU", "forward", 1, 512, 128, 1),
    stack("LSTM", "bidirectional", 2, 256, 128, 1),
    stack("GRU", "bidirectional", 2, 256, 128, 1),
    stack("LSTM", "forward", 2, 128, 128, 1),
)
ALLOWED = 0.05
"""Errors that plans may have: so large that none is dropped for them, since they stand in the table."""
EFFORT = Effort(rounds=12)
QUICK_EFFORT = Effort(rounds=2, turn_seconds=0.02, processes=1, loading=6, plan_seconds=20)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a line a model, write the page."""
    options = parser("precision", __doc__, EFFORT.rounds).parse_args(arguments)
    effort = QUICK_EFFORT if options.quick else replace(EFFORT, rounds=options.rounds)
    output: Path = options.output or RESULTS / f"precision-{machine.file_stem()}.json"
    report: dict[str, Any] = {"format": FORMAT, "date": time.strftime("%Y-%m-%d"), **machine.describe(), "results": []}
    for case in CASES[-1:] if options.quick else CASES:
        item = _one(case, effort)
        report["results"].append(item)
        print(_told(item), flush=True)
        if not options.quick:
            write(report, output, page)
    tell(aims(report["results"]))
    return 0


def _one(case: ModelCase, effort: Effort) -> dict[str, Any]:
    """Plan a model in each precision and measure the plans; `error` is how far answers are off the first one's."""
    with workplace() as folder:
        model = folder / "model.onnx"
        onnx.save(case.build(), model)
        contenders: list[Contender] = []
        plans: dict[str, Plan] = {}
        for weights, name in PLANS.items():
            task = planning.PlanningTask(
                model,
                case.specs,
                ("cpu",),
                timeout_seconds=effort.plan_seconds,
                precision=Precision(weights=weights, max_error=ALLOWED),
            )
            prepared, settings = task.prepare(), task.settings()
            plans[name] = select(planning.plan(task).buckets[0], SLO(), Mode.LATENCY).plan
            plan, feeds = plans[name].model_copy(update={"name": name}), prepared.buckets[0].feeds
            if not contenders:
                contenders += [
                    SessionContender(DEFAULT, model, feeds),
                    SessionContender(CONTROL, model, feeds),
                    Int8Contender(INT8, model, feeds),
                ]
            contenders.append(PlanContender(plan, prepared.folder, settings.devices, settings.cpu_lanes, feeds))
        inexact = {INT8, *(name for weights, name in PLANS.items() if weights is not WeightFormat.FLOAT32)}
        results = race(contenders, effort, inexact)
    found = figures(results)
    for result in results:
        if "absent" not in found[result.name]:
            found[result.name]["error"] = error(result.outputs, results[0].outputs)
        if result.name in plans:
            found[result.name] |= {"plan": plans[result.name].name, "stated": plans[result.name].error}
    return {"model": case.name, "contenders": found}


def _told(item: dict[str, Any]) -> str:
    told = (
        f"{name} {found['p50'] * 1e3:.3f} ms, off by {found['error']:.2g}" if "p50" in found else f"{name} absent"
        for name, found in item["contenders"].items()
    )
    return f"{item['model']}: {'; '.join(told)}"


if __name__ == "__main__":
    sys.exit(main())
