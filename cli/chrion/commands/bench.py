"""`chrion bench`: a plan beside ONNX Runtime's default session and each single device."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from chrion import cache
from chrion.errors import UsageError
from chrion.options import (
    GpuMemoryOption,
    LatencyOption,
    ModelArgument,
    ModeOption,
    ValueOption,
    parse_inputs,
    parse_objective,
    parse_seconds,
)
from chrion.progress import Display
from chrion_api import Mode
from chrion_graph.limits import Limits
from chrion_planner.comparison import Comparison, compare
from chrion_runtime.choice.documents import read_plan_file
from chrion_runtime.report import format as write


def command(
    model: ModelArgument,
    plan: Annotated[Path, typer.Option("--plan", metavar="PLAN.json", help="The plans, from `chrion plan`.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    value: ValueOption = None,
    latency: LatencyOption = None,
    gpu_memory: GpuMemoryOption = None,
    mode: ModeOption = Mode.AUTO,
    rounds: Annotated[int, typer.Option("--rounds", min=5, help="Turns of each contender.")] = 15,
    turn: Annotated[str, typer.Option("--turn", metavar="100ms", help="Length of a turn.")] = "100ms",
) -> None:
    """Measure the selected plan against ONNX Runtime's default session and each single device.

    Each contender runs alone in its own process, and they take turns, so that a change of the machine's speed affects
    all of them. `gain` is the default session's time divided by the contender's, as the median over rounds. The exit
    code is 1 if the plan could not be run.
    """
    plan_file = read_plan_file(plan)
    normalised = cache.normalised(model, Limits())
    if plan_file.model != normalised.digest:
        raise UsageError(
            f"{plan}: was made for model {plan_file.model[:12]}, but {model} is {normalised.digest[:12]}: plan again"
        )
    with Display(quiet=as_json) as display:
        found = compare(
            model,
            normalised,
            plan_file,
            parse_objective(latency, gpu_memory),
            mode,
            parse_inputs(None, value),
            rounds=rounds,
            turn_seconds=parse_seconds("--turn", turn),
            progress=display.progress,
        )
    if as_json:
        json.dump([_data(item) for item in found], sys.stdout, indent=1)
        print()
    else:
        console = Console()
        for item in found:
            console.print(_table(item))
    if any(row.error for item in found for row in item.rows if row.name == item.plan):
        raise typer.Exit(1)


def _data(item: Comparison) -> dict[str, Any]:
    return {
        "inputs": {name: list(shape) for name, shape in item.inputs.items()},
        "plan": item.plan,
        "date": time.strftime("%Y-%m-%d"),
        "contenders": [
            {"name": row.name, "error": row.error, "gain": row.gain, **(row.latency.to_data() if row.latency else {})}
            for row in item.rows
        ],
    }


def _table(item: Comparison) -> Table:
    title = f"{write.inputs(dict(item.inputs))}: gain over {item.rows[0].name}"
    table = Table(title=title, title_justify="left")
    table.add_column("contender")
    for name in ("p50", "p90", "p99", "gain"):
        table.add_column(name, justify="right")
    for row in item.rows:
        if row.latency is None or row.gain is None:
            table.add_row(row.name, row.error, "", "", "")
            continue
        times = (row.latency.p50, row.latency.p90, row.latency.p99)
        marker = " (plan)" if row.name == item.plan else ""
        table.add_row(f"{row.name}{marker}", *map(write.seconds, times), write.ratio(row.gain))
    return table
