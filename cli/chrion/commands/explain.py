"""`chrion explain`: show a plan file as text and as a page."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chrion.options import GpuMemoryOption, LatencyOption, ModeOption, parse_objective
from chrion_api import Mode
from chrion_graph.files import write_aside
from chrion_runtime.choice.documents import read_plan_file
from chrion_runtime.report.html.page import standalone_page
from chrion_runtime.report.text.terminal import show


def command(
    plan: Annotated[
        Path, typer.Argument(metavar="PLAN.json", help="The plans, from `chrion plan`.", show_default=False)
    ],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="REPORT.html", help="Also write one self-contained page.")
    ] = None,
    latency: LatencyOption = None,
    gpu_memory: GpuMemoryOption = None,
    mode: ModeOption = Mode.AUTO,
) -> None:
    """Show the stages, the schedule and the frontier of a plan file."""
    plan_file = read_plan_file(plan)
    show(plan_file, Console(), slo=parse_objective(latency, gpu_memory), mode=mode)
    if html is not None:
        write_aside(html, standalone_page(plan_file, plan.name))
        typer.echo(f"wrote {html}")
