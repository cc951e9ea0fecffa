"""`chrion plan`: profile, partition and measure a model, and write the plans."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chrion import planning
from chrion.errors import UsageError
from chrion.face import read
from chrion.option_groups import LimitOptions, ObjectiveOptions, RoundingOptions, grouped
from chrion.options import (
    DevicesOption,
    InputOption,
    LanesOption,
    ModelArgument,
    TimeoutOption,
    ValueOption,
    check_output,
    parse_devices,
    parse_inputs,
    parse_seconds,
)
from chrion.planning import PlanningTask, read_samples
from chrion.progress import Display
from chrion_api import Objective, Profile, WeightFormat
from chrion_graph.files import write_aside
from chrion_runtime.choice.ladder import choose
from chrion_runtime.report.text.terminal import show


@grouped
def command(
    *,
    model: ModelArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PLAN.json", help="Where to write the plans.")],
    inputs: InputOption = None,
    value: ValueOption = None,
    objective: ObjectiveOptions,
    profile: Annotated[
        Path | None,
        typer.Option(
            "--profile", metavar="PROFILE.json", help="Plan for the devices of this profile; measure nothing."
        ),
    ] = None,
    devices: DevicesOption = "",
    lanes: LanesOption = 0,
    rounding: RoundingOptions,
    timeout: TimeoutOption = "10m",
    limits: LimitOptions,
    timings: Annotated[bool, typer.Option("--timings", help="Report how long each step took.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Profile a model, partition it, measure the best plans, and write their frontier.

    The plans hold for every objective; --latency, --gpu-memory and --mode select which of them to show, and warn if
    none meets the objective.
    """
    check_output(output)
    slo, mode, wanted = objective.slo, objective.mode, rounding.wanted
    if profile is not None and wanted.weights is not WeightFormat.FLOAT32:
        raise UsageError("--precision: the error of rounding must be measured: leave out --profile")
    with Display(quiet) as display:
        task = PlanningTask(
            model=model,
            inputs=parse_inputs(inputs, value),
            devices=parse_devices(devices),
            cpu_lanes=lanes,
            timeout_seconds=parse_seconds("--timeout", timeout),
            limits=limits.limits,
            precision=wanted,
            samples=read_samples(rounding.sample, wanted),
            progress=display.progress,
            warn=display.warn,
        )
        if profile is None:
            found = planning.plan(task)
        else:
            found = planning.plan_from_profile(task, Profile.from_json(read(profile), str(profile)))
    write_aside(output, found.to_json())
    selections = choose(found, Objective.of(slo, mode))
    if not quiet:
        show(found, Console(), slo=slo, mode=mode)
        typer.echo(f"wrote {output}")
    if timings:
        display.timings()
    for selection in selections:
        if not selection.meets_slo:
            display.warn(selection.reason)
