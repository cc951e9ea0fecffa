"""The frontier as a picture of characters: latency against GPU memory, or latency alone where no GPU is used."""

from rich.cells import cell_len
from rich.text import Text

from chrion_runtime.report import format as write
from chrion_runtime.report.axis import bytes_axis, ruler, spread, time_axis
from chrion_runtime.report.model.bucket import ComparisonRow

ROWS = 10
MOST_BARS = 24


def scatter(rows: list[ComparisonRow], width: int) -> Text:
    """Latency to the right, GPU memory upwards; each row stands there by its mark."""
    memory = bytes_axis(max(row.gpu.total for row in rows) * 1.05, 5)
    low, high = spread([row.seconds for row in rows])
    gutter = max(len(text) for _, text in memory.ticks) + len(memory.unit) + 2
    space = max(8, width - gutter - 2)
    time = time_axis(low, high, max(4, space // 12))

    def height(nbytes: float) -> int:
        return ROWS - round(memory.at(nbytes) * ROWS)

    labels = {height(value): text for value, text in memory.marks}
    grid = [list(("·   " if index in labels else "    ") * space)[:space] for index in range(ROWS + 1)]
    for row in rows:
        _place(grid[height(row.gpu.total)], round(time.at(row.seconds) * (space - 1)), row.mark)
    lines = [f"{labels.get(index, ''):>{gutter - 1}} │{''.join(line)}" for index, line in enumerate(grid)]
    marks, numbers = ruler(time, space)
    lines += [" " * gutter + "└" + marks, " " * (gutter + 1) + numbers]
    return Text("\n".join(lines), no_wrap=True, overflow="crop")


def _place(line: list[str], column: int, mark: str) -> None:
    """Write a mark at the column, or at the nearest free place."""
    last = len(line) - len(mark)
    for distance in range(len(line)):
        for at in (column + distance, column - distance):
            if 0 <= at <= last and all(cell in " ·" for cell in line[max(at - 1, 0) : at + len(mark) + 1]):
                line[at : at + len(mark)] = mark
                return


def bars(rows: list[ComparisonRow], width: int) -> Text:
    """One bar a row, as long as its median latency."""
    shown = rows[:MOST_BARS]
    longest = max(row.seconds for row in rows) or 1.0
    gutter = min(max(cell_len(_label(row)) for row in shown), width // 3)
    space = max(4, width - gutter - 14)
    chart = Text(no_wrap=True, overflow="crop")
    for number, row in enumerate(shown):
        name = write.clip(_label(row), gutter)
        length = max(1, round(row.seconds / longest * space))
        bar = ("━" if row.measured else "╍") * length
        chart.append("\n" if number else "")
        chart.append(f"{name}{' ' * (gutter - cell_len(name))} ")
        chart.append(bar, style="bold" if row.plan else "dim")
        chart.append(f" {row.median_text}")
    if len(rows) > len(shown):
        chart.append(f"\n… and {len(rows) - len(shown):,} more", style="dim")
    return chart


def _label(row: ComparisonRow) -> str:
    return f"{row.mark} {write.clean(row.name)}"
