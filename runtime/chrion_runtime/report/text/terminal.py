"""A plan file in the terminal: comparison, frontier, and the chosen plan's timeline."""

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from chrion_api import SLO, Frontier, Mode, Objective, Plan, PlanFile
from chrion_runtime.choice.ladder import choose
from chrion_runtime.errors import PlanRefused
from chrion_runtime.report import format as write
from chrion_runtime.report.model.bucket import TRUNCATED, BucketReport, ComparisonRow
from chrion_runtime.report.model.timeline import UNTIMED, Timeline, device_hues, took
from chrion_runtime.report.text.frontier import bars, scatter
from chrion_runtime.report.text.gantt import gantt

MOST_STAGES = 16
MOST_REWRITES = 6
MOST_COMPARED = 40
NARROW = 72
"""Below so many columns the tables leave out what matters less."""

_COLOURS = ("blue", "yellow", "green", "magenta", "red", "cyan")


def show(plan_file: PlanFile, console: Console, *, slo: SLO | None = None, mode: Mode = Mode.AUTO) -> None:
    """Print what the file says; the schedule shown is of the plan that `slo` and `mode` ask for, else of the first.

    Nothing is wider than the console, and nothing rests on colour alone.
    """
    hues = device_hues((plan for bucket in plan_file.buckets for plan in bucket.plans), plan_file.devices)
    colours = {name: _COLOURS[hue] for name, hue in hues.items()}
    console.print(_header(plan_file, colours))
    if plan_file.truncated:
        console.print(Text(f"Truncated: {TRUNCATED}", style="bold yellow"))
    if plan_file.fallback:
        console.print(Text(f"Only the model as it is was planned: {plan_file.fallback}", style="bold yellow"))
    for frontier, (plan, why) in zip(plan_file.buckets, _chosen(plan_file, slo, mode), strict=True):
        _bucket(frontier, plan, why, console, colours)


def _header(plan_file: PlanFile, colours: Mapping[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="ellipsis", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("model", f"sha256 {plan_file.model[:16]}…")
    for name, colour in colours.items():
        key = plan_file.devices.get(name)
        if key is None:
            continue
        parts = [key.product, write.count(key.cores, "core"), write.engines(key.engines)]
        parts += [f"driver {key.driver}"] if key.driver else []
        table.add_row(Text(write.clip(name, 24), style=colour), Text(write.clean(" · ".join(parts))))
    return table


def _bucket(frontier: Frontier, plan: Plan, why: str, console: Console, colours: Mapping[str, str]) -> None:
    bucket = BucketReport(frontier, plan)
    console.print()
    console.rule(Text(write.clip(write.inputs(frontier.inputs), console.width - 6)), align="left", characters="─")
    console.print(Text(bucket.headline))
    console.print(_comparison(bucket.rows, console.width))
    if not bucket.all_measured:
        console.print(Text("in parentheses: predicted only", style="dim"))
    if bucket.predictions:
        console.print(Text(bucket.predictions))
    if len(bucket.rows) > MOST_COMPARED:
        console.print(Text(f"… and {len(bucket.rows) - MOST_COMPARED:,} more", style="dim"))
    if bucket.uses_gpu:
        console.print(_memory(bucket.rows, console.width))
        _title(console, "Frontier: median latency to the right, GPU memory upwards")
        console.print(scatter(bucket.rows, console.width))
    else:
        _title(console, "Frontier: no GPU memory is used, so latency alone")
        console.print(bars(bucket.rows, console.width))
    mark = next(row.mark for row in bucket.rows if row.in_use)
    _title(console, f"Plan {mark}: {write.clip(plan.name, 60)}")
    if why:
        console.print(Text(write.clean(why)))
    _plan(plan, console, colours)


def _chosen(plan_file: PlanFile, slo: SLO | None, mode: Mode) -> list[tuple[Plan, str]]:
    """The plan of each bucket to show in full, and why that one."""
    why = ""
    if slo is not None:
        try:
            chosen = choose(plan_file, Objective.of(slo, mode))
            return [(one.plan, f"chosen for the objective: {one.reason}") for one in chosen]
        except PlanRefused as refused:
            why = f"the first plan; the objective cannot be met: {refused}"
    return [(frontier.plans[0], why) for frontier in plan_file.buckets]


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _table(
    headings: tuple[str, ...], rows: Iterable[tuple[str, tuple[str, ...]]], narrow: tuple[int, ...], width: int
) -> Table:
    """A quiet table whose first column holds text and whose others hold numbers; `rows` are styles and cells.

    A narrow console gets only the columns that matter most.
    """
    shown = narrow if width < NARROW else range(len(headings))
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    for index in shown:
        table.add_column(headings[index], justify="right" if index else "left", vertical="bottom", no_wrap=bool(index))
    for style, cells in rows:
        table.add_row(*(Text(cells[index]) for index in shown), style=style)
    return table


def _comparison(rows: list[ComparisonRow], width: int) -> Padding:
    headings = ("", "p50", "p90", "p99", "speed-up", "vs\npred.", "GPU\nmemory")
    numbers = (
        (
            "bold" if row.in_use else "" if row.plan else "dim",
            (
                _name(row, width - (56 if width >= NARROW else 31)),
                row.median_text,
                write.seconds(row.measured.p90) if row.measured else write.NOTHING,
                write.seconds(row.measured.p99) if row.measured else write.NOTHING,
                row.speedup_text,
                row.off_text,
                write.size(row.gpu.total),
            ),
        )
        for row in rows[:MOST_COMPARED]
    )
    return Padding(_table(headings, numbers, (0, 1, 4, 6), width), (1, 0, 0, 0))


def _memory(rows: list[ComparisonRow], width: int) -> Padding:
    room = width - (54 if width >= NARROW else 22)
    parts = (("", (_name(row, room), *row.gpu_parts.values())) for row in rows[:MOST_COMPARED])
    return Padding(_table(("", *rows[0].gpu_parts), parts, (0, 1, 5), width), (1, 0, 0, 0))


def _name(row: ComparisonRow, width: int) -> str:
    """A row's mark and name, cut so that the numbers beside it keep their room."""
    return write.clip(f"{row.mark} {row.name}", max(width, 8))


def _plan(plan: Plan, console: Console, colours: Mapping[str, str]) -> None:
    timeline = Timeline(plan)
    console.print(Text(f"{timeline.extent}, graph {write.clip(plan.graph, 12)}"))
    for entry in plan.rewrites[:MOST_REWRITES]:
        console.print(Text(write.clip(f"rewrite {write.rewrite(entry)}", console.width)))
    if not plan.rewrites:
        console.print(Text("no rewrites"))
    if len(plan.rewrites) > MOST_REWRITES:
        console.print(Text(f"… and {write.count(len(plan.rewrites) - MOST_REWRITES, 'more rewrite')}", style="dim"))
    if timeline.makespan:
        _title(console, "Predicted schedule, and how much of it each lane is busy")
        console.print(gantt(timeline, console.width, colours))
        console.print(Text(timeline.idleness))
    else:
        console.print(Text(UNTIMED))
    if timeline.bound:
        console.print(Text(timeline.bound))
    _stages(timeline, console)


def _stages(timeline: Timeline, console: Console) -> None:
    """The stages in order; the longest of them where there are many."""
    stages = list(enumerate(timeline.plan.stages))
    longest = sorted(stages, key=lambda item: -took(item[1]))[:MOST_STAGES]
    all_shown = len(longest) == len(stages)
    _title(console, "Stages" if all_shown else f"The {MOST_STAGES} longest of {len(stages):,} stages")
    width = console.width
    headings = ("stage", "lanes", "nodes", "engine", "start", "finish", "share")
    rows = (
        (
            "",
            (
                str(index),
                write.clip(write.lanes(stage.lanes), min(24, width // 4)),
                write.clip(write.nodes(stage), max(8, width - 66)),
                write.engine(stage),
                write.seconds(stage.start_seconds),
                write.seconds(stage.finish_seconds),
                write.share(timeline.share(stage)),
            ),
        )
        for index, stage in sorted(longest)
    )
    console.print(_table(headings, rows, (0, 1, 4, 6), width))
    if not all_shown:
        console.print(Text("chrion explain --html lists them all", style="dim"))
