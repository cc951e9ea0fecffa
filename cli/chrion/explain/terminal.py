"""A plan file in the terminal: comparison, frontier, and the chosen plan's schedule."""

from collections.abc import Mapping
from typing import TypeVar

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from chrion.explain.frontier_text import bars, scatter
from chrion.explain.gantt_text import gantt
from chrion_api import SLO, Frontier, Mode, Plan, PlanFile
from chrion_runtime.choice.selection import select
from chrion_runtime.drawing import format as write
from chrion_runtime.drawing.comparison import Entry, comparison, headline, uses_gpu
from chrion_runtime.drawing.schedule import Schedule, devices, took
from chrion_runtime.errors import PlanRefused

MOST_STAGES = 16
MOST_REWRITES = 6
MOST_COMPARED = 40
NARROW = 72
"""Below so many columns the tables leave out what matters less."""

Cell = TypeVar("Cell")

_COLOURS = ("blue", "yellow", "green", "magenta", "red", "cyan")


def show(plan_file: PlanFile, console: Console, *, slo: SLO | None = None, mode: Mode = Mode.AUTO) -> None:
    """Print what the file says; the schedule shown is of the plan that `slo` and `mode` ask for, else of the first.

    Nothing is wider than the console, and nothing rests on colour alone.
    """
    colours = {
        name: _COLOURS[index % len(_COLOURS)]
        for index, name in enumerate(devices(plan_file.buckets, plan_file.devices))
    }
    console.print(_header(plan_file, colours))
    if plan_file.truncated:
        warning = "Truncated: time ran out before every candidate was tried; a better plan may exist."
        console.print(Text(warning, style="bold yellow"))
    for frontier in plan_file.buckets:
        _bucket(frontier, console, slo, mode, colours)


def _header(plan_file: PlanFile, colours: Mapping[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="ellipsis", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("model", f"sha256 {plan_file.model[:16]}…")
    for name, key in sorted(plan_file.devices.items(), key=lambda item: list(colours).index(item[0])):
        parts = [key.product, write.count(key.cores, "core"), f"onnxruntime {key.onnxruntime}"]
        parts += [f"driver {key.driver}"] if key.driver else []
        table.add_row(Text(write.clip(name, 24), style=colours[name]), Text(write.clean(" · ".join(parts))))
    return table


def _bucket(frontier: Frontier, console: Console, slo: SLO | None, mode: Mode, colours: Mapping[str, str]) -> None:
    plan, why = _chosen(frontier, slo, mode)
    entries = comparison(frontier)
    console.print()
    console.rule(Text(write.clip(write.inputs(frontier.inputs), console.width - 6)), align="left", characters="─")
    console.print(Text(headline(frontier)))
    console.print(_comparison(entries, plan, console.width))
    if any(not entry.measured for entry in entries):
        console.print(Text("in parentheses: predicted only", style="dim"))
    if frontier.candidates:
        console.print(Text(write.predictions(frontier.candidates)))
    if len(entries) > MOST_COMPARED:
        console.print(Text(f"… and {len(entries) - MOST_COMPARED:,} more", style="dim"))
    if uses_gpu(frontier):
        console.print(_memory(entries, console.width))
        _title(console, "Frontier: median latency to the right, GPU memory upwards")
        console.print(scatter(entries, console.width))
    else:
        _title(console, "Frontier: no GPU memory is used, so latency alone")
        console.print(bars(entries, console.width))
    mark = next(entry.mark for entry in entries if entry.plan is plan)
    _title(console, f"Plan {mark}: {write.clip(plan.name, 60)}")
    if why:
        console.print(Text(write.clean(why)))
    _plan(plan, console, colours)


def _chosen(frontier: Frontier, slo: SLO | None, mode: Mode) -> tuple[Plan, str]:
    """The plan to show in full, and why that one."""
    if slo is None:
        return frontier.plans[0], ""
    try:
        selection = select(frontier, slo, mode)
    except PlanRefused as refused:
        return frontier.plans[0], f"the first plan; the objective cannot be kept: {refused}"
    return selection.plan, f"chosen for the objective: {selection.reason}"


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _table(*headings: str) -> Table:
    """A quiet table whose first column holds text and whose others hold numbers."""
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left", vertical="bottom", no_wrap=bool(index))
    return table


def _comparison(entries: list[Entry], choice: Plan, width: int) -> Padding:
    headings = ("", "p50", "p90", "p99", "speed-up", "vs\npred.", "GPU\nmemory")
    table = _table(*_fitting(headings, (0, 1, 4, 6), width))
    for entry in entries[:MOST_COMPARED]:
        row: tuple[Text | str, ...] = (
            _name(entry, width - (56 if width >= NARROW else 31)),
            write.seconds(entry.measured.p50) if entry.measured else f"({write.seconds(entry.seconds)})",
            write.seconds(entry.measured.p90) if entry.measured else write.NOTHING,
            write.seconds(entry.measured.p99) if entry.measured else write.NOTHING,
            entry.speedup_text,
            write.NOTHING if entry.off is None else write.change(entry.off),
            write.size(entry.gpu.total),
        )
        style = "bold" if entry.plan is choice else "" if entry.plan else "dim"
        table.add_row(*_fitting(row, (0, 1, 4, 6), width), style=style)
    return Padding(table, (1, 0, 0, 0))


def _memory(entries: list[Entry], width: int) -> Padding:
    headings = ("", "weights", "activations", "workspace", "context", "total")
    table = _table(*_fitting(headings, (0, 1, 5), width))
    for entry in entries[:MOST_COMPARED]:
        gpu = entry.gpu
        parts = map(write.size, (gpu.weights, gpu.activations, gpu.workspace, gpu.context, gpu.total))
        row: tuple[Text | str, ...] = (_name(entry, width - (54 if width >= NARROW else 22)), *parts)
        table.add_row(*_fitting(row, (0, 1, 5), width))
    return Padding(table, (1, 0, 0, 0))


def _fitting(cells: tuple[Cell, ...], narrow: tuple[int, ...], width: int) -> tuple[Cell, ...]:
    """All cells of a row, or in a narrow console those that matter most."""
    return cells if width >= NARROW else tuple(cells[index] for index in narrow)


def _name(entry: Entry, width: int) -> Text:
    """An entry's mark and name, cut so that the numbers beside it keep their room."""
    return Text(write.clip(f"{entry.mark} {entry.name}", max(width, 8)))


def _plan(plan: Plan, console: Console, colours: Mapping[str, str]) -> None:
    schedule = Schedule(plan)
    lanes = write.count(len(schedule.uses), "lane")
    console.print(Text(f"{write.count(len(plan.stages), 'stage')} on {lanes}, graph {write.clip(plan.graph, 12)}"))
    for entry in plan.rewrites[:MOST_REWRITES]:
        console.print(Text(write.clip(f"rewrite {write.rewrite(entry)}", console.width)))
    if not plan.rewrites:
        console.print(Text("no rewrites"))
    if len(plan.rewrites) > MOST_REWRITES:
        console.print(Text(f"… and {write.count(len(plan.rewrites) - MOST_REWRITES, 'more rewrite')}", style="dim"))
    if not schedule.makespan:
        console.print(Text("The file holds no predicted times for this plan, so there is no schedule to draw."))
    else:
        _title(console, "Predicted schedule, and how much of it each lane is busy")
        console.print(gantt(schedule, console.width, colours))
        whole = schedule.makespan * len(schedule.uses)
        idle = f"makespan {write.seconds(schedule.makespan)}; idle {write.seconds(schedule.idle)} in all"
        console.print(Text(f"{idle} ({write.share(schedule.idle / whole)} of {lanes})"))
    if plan.bound_seconds is not None:
        console.print(Text(write.bound(plan)))
    _stages(schedule, console)


def _stages(schedule: Schedule, console: Console) -> None:
    """The stages in order; the longest of them where there are many."""
    stages = list(enumerate(schedule.plan.stages))
    longest = sorted(stages, key=lambda item: -took(item[1]))[:MOST_STAGES]
    all_shown = len(longest) == len(stages)
    _title(console, "Stages" if all_shown else f"The {MOST_STAGES} longest of {len(stages):,} stages")
    width, narrow = console.width, (0, 1, 4, 6)
    headings = ("stage", "lanes", "nodes", "optimization", "start", "finish", "share")
    table = _table(*_fitting(headings, narrow, width))
    for index, stage in sorted(longest):
        row = (
            str(index),
            write.clip(write.lanes(stage.lanes), min(24, width // 4)),
            write.clip(write.nodes(stage), max(8, width - 66)),
            stage.optimization.value,
            write.seconds(stage.start_seconds),
            write.seconds(stage.finish_seconds),
            write.share(schedule.share(stage)),
        )
        table.add_row(*map(Text, _fitting(row, narrow, width)))
    console.print(table)
    if not all_shown:
        console.print(Text("chrion explain --html lists them all", style="dim"))
