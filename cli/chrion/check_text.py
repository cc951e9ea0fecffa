"""A check of a model in a terminal, by rich."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chrion_planner.check.report import EdgeValue, LayerCheck, ModelCheck, ModelContents, Outlook
from chrion_runtime.report import format as write

MOST_ROWS = 16
MOST_OPERATORS = 12

_VERDICTS = {
    Outlook.LIKELY: ("Likely to gain", "bold green"),
    Outlook.POSSIBLE: ("May gain: measure it", "bold yellow"),
    Outlook.LITTLE: ("Little to gain", "bold"),
    Outlook.BLOCKED: ("Cannot be planned as it is", "bold red"),
}


def show(report: ModelCheck, console: Console) -> None:
    """Print what the report says. Only the command to type may be wider than the console."""
    console.print(_contents(report.model, report.contents))
    if report.layers:
        _title(console, "Recurrent layers")
        console.print(_layers(report.layers))
    if report.onnxruntime:
        console.print()
        console.print(Text(f"ONNX Runtime runs {_operators(report.onnxruntime)}"))
    verdict, style = _VERDICTS[report.outlook]
    _title(console, verdict, style)
    if report.reasons:
        console.print(_points(report.reasons))
    if report.obstacles:
        _title(console, "In the way")
        console.print(_points([f"{one.problem}\n{one.way_out}" for one in report.obstacles[:MOST_ROWS]]))
        if (more := len(report.obstacles) - MOST_ROWS) > 0:
            console.print(Text(f"… and {more:,} more: --json lists them all", style="dim"))
    if report.command:
        _title(console, "Next")
        console.print(Text(write.clean(report.command)), soft_wrap=True)


def _title(console: Console, text: str, style: str = "bold") -> None:
    console.print()
    console.print(Text(text, style=style))


def _contents(model: str, contents: ModelContents) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    weights = ", ".join(f"{write.size(size)} {name}" for name, size in contents.weight_bytes.items())
    rows = [
        ("model", f"{model} · opset {contents.opset} · {contents.precision}"),
        *_edges("input", contents.inputs),
        *_edges("output", contents.outputs),
        ("weights", weights or "none"),
        ("nodes", _operators(contents.operators)),
    ]
    for flow in contents.control_flow[:MOST_ROWS]:
        decided = f", decided by {' and '.join(flow.decided_by)}" if flow.decided_by else ""
        rows.append((flow.operator, f"{flow.name}: {write.count(flow.nodes, 'node')} inside{decided}"))
    for name, text in rows:
        table.add_row(Text(write.clip(name, 12)), Text(write.clean(text)))
    return table


def _edges(side: str, values: Sequence[EdgeValue]) -> list[tuple[str, str]]:
    """A row for each of the first inputs or outputs."""
    rows = []
    for value in values[:MOST_ROWS]:
        axes = value.axes
        shape = "" if axes is None else f" [{', '.join('?' if axis is None else str(axis) for axis in axes)}]"
        rows.append((side, f"{value.name} {value.type}{shape if axes else ' scalar' if axes == () else ''}"))
    left = len(values) - len(rows)
    return [*rows, (side, f"… and {left:,} more")] if left else rows


def _operators(counts: Mapping[str, int]) -> str:
    """`28 nodes: MatMul 12, Add 10, …`."""
    shown = [f"{name} {count:,}" for name, count in list(counts.items())[:MOST_OPERATORS]]
    rest = len(counts) - len(shown)
    more = [f"{write.count(rest, 'other operator')}"] if rest else []
    return f"{write.count(sum(counts.values()), 'node')}: {', '.join([*shown, *more])}"


def _layers(layers: Sequence[LayerCheck]) -> Table:
    """Layers alike in one row."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading in ("layers", "inputs → units", "steps × batch", "run by"):
        table.add_column(heading, overflow="fold")
    counts = Counter(map(_row, layers))
    for (what, *cells), count in list(counts.items())[:MOST_ROWS]:
        table.add_row(Text(f"{count:,} {what}"), *map(Text, cells))
    if len(counts) > MOST_ROWS:
        table.add_row(Text(f"… and {len(counts) - MOST_ROWS:,} more kinds", style="dim"))
    return table


def _row(layer: LayerCheck) -> tuple[str, ...]:
    made = f", by {layer.made_by}" if layer.made_by else ""
    run_by = f"ONNX Runtime: {layer.lacking}" if layer.lacking else "Chrion's kernels"
    sizes = [
        f" {sign} ".join(write.NOTHING if size is None else str(size) for size in pair)
        for sign, pair in (("→", (layer.inputs, layer.hidden)), ("×", (layer.steps, layer.batch)))
    ]
    return tuple(map(write.clean, (f"{layer.kind} {layer.direction}{made}", *sizes, run_by)))


def _points(texts: Sequence[str]) -> Table:
    """One point a text; its further lines stand below its first."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for text in texts:
        first, *rest = map(write.clean, text.split("\n"))
        table.add_row(Text("·"), Text(first))
        for line in rest:
            table.add_row(Text(""), Text(line, style="dim"))
    return table
