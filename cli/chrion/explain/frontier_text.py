"""The frontier as a picture of characters: latency against GPU memory, or latency alone where no GPU is used."""

from rich.cells import cell_len
from rich.text import Text

from chrion_runtime.drawing import format as write
from chrion_runtime.drawing.axis import bytes_axis, ruler, spread, time_axis
from chrion_runtime.drawing.comparison import Entry

ROWS = 10
MOST_BARS = 24


def scatter(entries: list[Entry], width: int) -> Text:
    """Latency to the right, GPU memory upwards; each entry stands there by its mark."""
    memory = bytes_axis(max(entry.gpu.total for entry in entries) * 1.05, 5)
    low, high = spread([entry.seconds for entry in entries])
    gutter = max(len(text) for _, text in memory.ticks) + len(memory.unit) + 2
    space = max(8, width - gutter - 2)
    time = time_axis(low, high, max(4, space // 12))
    grid: list[list[str]] = [[" "] * space for _ in range(ROWS + 1)]
    for value, _ in memory.ticks:
        grid[ROWS - round(memory.at(value) * ROWS)] = ["·" if column % 4 == 0 else " " for column in range(space)]
    for entry in entries:
        row = grid[ROWS - round(memory.at(entry.gpu.total) * ROWS)]
        _place(row, round(time.at(entry.seconds) * (space - 1)), entry.mark)
    labels = {
        ROWS - round(memory.at(value) * ROWS): f"{text} {memory.unit}" if value else "0" for value, text in memory.ticks
    }
    lines = [f"{labels.get(index, ''):>{gutter - 1}} │{''.join(row)}" for index, row in enumerate(grid)]
    marks, numbers = ruler(time, space)
    lines += [" " * gutter + "└" + marks, " " * (gutter + 1) + numbers]
    return Text("\n".join(lines), no_wrap=True, overflow="crop")


def _place(row: list[str], column: int, mark: str) -> None:
    """Write a mark at the column, or at the nearest free place."""
    last = len(row) - len(mark)
    for distance in range(len(row)):
        for at in (column + distance, column - distance):
            if 0 <= at <= last and all(cell in " ·" for cell in row[max(at - 1, 0) : at + len(mark) + 1]):
                row[at : at + len(mark)] = mark
                return


def bars(entries: list[Entry], width: int) -> Text:
    """One bar an entry, as long as its median latency."""
    shown = entries[:MOST_BARS]
    longest = max(entry.seconds for entry in entries) or 1.0
    gutter = min(max(cell_len(_label(entry)) for entry in shown), width // 3)
    space = max(4, width - gutter - 14)
    chart = Text(no_wrap=True, overflow="crop")
    for number, entry in enumerate(shown):
        name = write.clip(_label(entry), gutter)
        length = max(1, round(entry.seconds / longest * space))
        bar = ("━" if entry.measured else "╍") * length
        value = write.seconds(entry.seconds) if entry.measured else f"({write.seconds(entry.seconds)})"
        chart.append("\n" if number else "")
        chart.append(f"{name}{' ' * (gutter - cell_len(name))} ")
        chart.append(bar, style="bold" if entry.plan else "dim")
        chart.append(f" {value}")
    if len(entries) > len(shown):
        chart.append(f"\n… and {len(entries) - len(shown):,} more", style="dim")
    return chart


def _label(entry: Entry) -> str:
    return f"{entry.mark} {write.clean(entry.name)}"
