"""Measure recurrent layers while a process of real-time priority takes a core: `python -m chrion_bench.stolen`.

Each contender runs alone in a process of its own and pinned to no core; they take turns.
"""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import onnx

from chrion_bench import machine
from chrion_bench.race import Effort, figures, race
from chrion_bench.side_bench import RESULTS, parser, tell, write
from chrion_bench.stolen.kernels import contenders
from chrion_bench.stolen.summary import SHARES, aims, page
from chrion_bench.stolen.thief import NotAllowed, stolen
from chrion_bench.workplace import workplace
from chrion_models.families import find
from chrion_models.inputs import random_inputs

FORMAT = 1
MODELS = ("gru-forward-l1-h128-s128-b1", "lstm-forward-l1-h256-s128-b1", "lstm-forward-l2-h128-s128-b1")
EFFORT = Effort(rounds=24, turn_seconds=0.4, race_seconds=60.0)
QUICK_EFFORT = Effort(rounds=1, turn_seconds=0.02, processes=1, loading=5)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a line a model and share, write the page."""
    options = parser("stolen", __doc__, EFFORT.rounds).parse_args(arguments)
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        sys.exit("error: one core is taken, and another must be left: there are fewer than two")
    effort = QUICK_EFFORT if options.quick else replace(EFFORT, rounds=options.rounds)
    output: Path = options.output or RESULTS / f"stolen-{machine.file_stem()}.json"
    report = _begun(max(cores))
    for model in MODELS[:1] if options.quick else MODELS:
        for share in SHARES[:1] if report["refused"] else SHARES:
            try:
                item = _one(model, share, report["core"], effort)
            except NotAllowed as error:
                report["refused"] = str(error)
                print(f"no core is taken: {error}", flush=True)
                break
            report["results"].append(item)
            print(_told(item), flush=True)
        if not options.quick:
            write(report, output, page)
    tell(aims(report["results"]))
    return 0


def _begun(core: int) -> dict[str, Any]:
    date = time.strftime("%Y-%m-%d")
    return {"format": FORMAT, "date": date, **machine.describe(), "core": core, "refused": "", "results": []}


def _one(name: str, share: float, core: int, effort: Effort) -> dict[str, Any]:
    """Measure one model while so much of a core is taken. Raises NotAllowed."""
    case = find(name)
    with workplace() as folder:
        model = folder / "model.onnx"
        onnx.save(case.build(), model)
        feeds = random_inputs(model, case.inputs)
        with stolen(core, share) as theft:
            results = race(contenders(model, feeds), effort)
    found = figures(results)
    for result in results:
        if "absent" not in found[result.name]:
            found[result.name]["mean"] = fmean(seconds for times in result.rounds for seconds in times)
    return {"model": name, "share": share, "taken": theft.share, "contenders": found}


def _told(item: dict[str, Any]) -> str:
    told = (
        f"{name} {found['mean'] * 1e3:.3f}, p99 {found['p99'] * 1e3:.3f}" if "mean" in found else f"{name} absent"
        for name, found in item["contenders"].items()
    )
    return f"{item['model']}, {item['share']:.0%} of a core taken, mean ms: {'; '.join(told)}"


if __name__ == "__main__":
    sys.exit(main())
