"""The predicted schedule as a Gantt chart of characters, readable without colour."""

import math
from collections.abc import Mapping

from rich.cells import cell_len
from rich.text import Text

from chrion_api import Stage
from chrion_runtime.report import format as write
from chrion_runtime.report.axis import Axis, ruler, time_axis
from chrion_runtime.report.model.timeline import Timeline, device_of, stage_labels

MOST_LANES = 32
_SHADES = "░▒▓█"


def gantt(timeline: Timeline, width: int, colours: Mapping[str, str]) -> Text:
    """Lines of at most `width` cells, one a lane, with the time axis below and the lane's use at the right.

    `colours` gives the rich style of each device.
    """
    shown = list(timeline.stages_by_lane)[:MOST_LANES]
    gutter = min(max(cell_len(write.clean(lane)) for lane in shown), 16, width // 4)
    space = max(8, width - gutter - 8)
    axis = time_axis(0.0, timeline.makespan, max(4, space // 12))
    chart, crowded = Text(no_wrap=True, overflow="crop"), False
    for lane, use in zip(shown, timeline.uses, strict=False):
        row = _row(timeline.stages_by_lane[lane], axis, space)
        crowded = crowded or not set(row).isdisjoint(_SHADES)
        name = write.clip(lane, gutter)
        chart.append(name + " " * (gutter - cell_len(name) + 1))
        chart.append(row, style=colours[device_of(lane)])
        chart.append(f"{write.share(use.utilisation):>7}\n")
    hidden = len(timeline.uses) - len(shown)
    if hidden:
        chart.append(f"… and {write.count(hidden, 'more lane')}\n", style="dim")
    indent = " " * (gutter + 1)
    chart.append("\n".join(indent + line for line in ruler(axis, space)), style="dim")
    if crowded:
        chart.append(f"\n{_SHADES} several stages in one column: how much of it is busy", style="dim")
    return chart


def _row(stages: list[tuple[int, Stage]], axis: Axis, space: int) -> str:
    row, taken, busy = [" "] * space, [0] * space, [0.0] * space
    for index, stage in stages:
        begin, end = axis.at(stage.start_seconds) * space, axis.at(stage.finish_seconds) * space
        for column in range(int(begin), min(math.ceil(end), space)):
            busy[column] += min(end, column + 1) - max(begin, column)
        first = min(round(begin), space - 1)
        last = max(first + 1, round(end))
        for column in range(first, last):
            taken[column] += 1
        if row[first] != " " and last - first > 1:  # a stage shorter than a column stands here
            first += 1
        row[first:last] = _bar(index, stage, last - first)
    return "".join(
        _SHADES[min(int(4 * part), 3)] if number > 1 else mark
        for mark, number, part in zip(row, taken, busy, strict=True)
    )


def _bar(index: int, stage: Stage, width: int) -> str:
    if width == 1:
        return "┃"
    labels = (*(f" {label} " for label in stage_labels(index, stage)), f"{index}", "")
    label = next(label for label in labels if cell_len(label) <= width - 2)
    return f"┣{label:━<{width - 2}}┫"
