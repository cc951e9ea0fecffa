"""The predicted schedule as a Gantt chart in SVG: one row a lane, a block a stage, coloured by device."""

from collections.abc import Callable, Iterator, Mapping

from rich.cells import cell_len

from chrion_api import Stage
from chrion_runtime.drawing import format as write
from chrion_runtime.drawing.axis import Axis, time_axis
from chrion_runtime.drawing.markup import Element, el
from chrion_runtime.drawing.schedule import Schedule, device_of, took

WIDTH = 1000
Across = Callable[[float], float]
"""From seconds to the horizontal place in the chart."""
_LETTER = 6.4
"""Width of a letter at the chart's font size, on the safe side."""
_USE = 52
"""Room at the right for each lane's use."""
_HAIR = 6
"""A block narrower than this is drawn without an outline."""


def gantt(schedule: Schedule, hues: Mapping[str, int], key: str) -> Element:
    """The chart, 1000 wide; `hues` gives each device's hue, `key` makes ids unique in the page."""
    lanes = list(schedule.stages_by_lane)
    row = 30 if len(lanes) <= 12 else 20 if len(lanes) <= 40 else 12
    gutter = min(max(cell_len(write.clip(lane, 22)) for lane in lanes) * _LETTER + 12, 160)
    axis = time_axis(0.0, schedule.makespan, 10)
    space = WIDTH - gutter - _USE
    tops = {lane: 18.0 + index * (row + 4) for index, lane in enumerate(lanes)}
    bottom = 18.0 + len(lanes) * (row + 4)

    def across(value: float) -> float:
        return gutter + axis.at(value) * space

    chart = el("svg", class_="gantt", viewBox=f"0 0 {WIDTH} {bottom + 34:.0f}", role="img")
    chart.set("aria-labelledby", f"{key}-t {key}-d")
    chart.append(el("title", f"Predicted schedule of plan {schedule.plan.name}", id=f"{key}-t"))
    chart.append(el("desc", _description(schedule), id=f"{key}-d"))
    chart.append(_grid(axis, across, bottom))
    chart.append(el("text", "busy", x=WIDTH, y=11, class_="note end"))
    for lane, use in zip(lanes, schedule.uses, strict=True):
        middle = tops[lane] + row / 2 + 4
        label = el("text", el("title", lane), x=0, y=middle, class_="lane")
        label[0].tail = write.clip(lane, 22)
        chart.append(label)
        chart.append(el("text", write.share(use.utilisation), x=WIDTH, y=middle, class_="note end"))
    chart.extend(
        _block(index, stage, across, top, height, hues[device_of(stage.lanes[0])])
        for index, stage in enumerate(schedule.plan.stages)
        for top, height in _bands(stage, tops, row)
    )
    return chart


def _description(schedule: Schedule) -> str:
    stages, lanes = write.count(len(schedule.plan.stages), "stage"), write.count(len(schedule.uses), "lane")
    return f"{stages} on {lanes} over {write.seconds(schedule.makespan)}; the table of stages holds the same."


def _grid(axis: Axis, across: Across, bottom: float) -> Element:
    grid = el("g", class_="grid")
    end = -1.0
    for value, text in axis.ticks:
        x = across(value)
        grid.append(el("path", d=f"M{x:.1f} 16V{bottom + 2:.1f}"))
        if x > end:
            grid.append(el("text", f"{text} {axis.unit}" if value else "0", x=x, y=bottom + 17, class_="note middle"))
            end = x + 6 * _LETTER
    return grid


def _bands(stage: Stage, tops: Mapping[str, float], row: float) -> Iterator[tuple[float, float]]:
    """Top and height of each run of neighbouring lanes that the stage holds."""
    held = sorted(tops[lane] for lane in set(stage.lanes))
    first = last = held[0]
    for top in held[1:]:
        if top - last > row + 4.5:
            yield first, last - first + row
            first = top
        last = top
    yield first, last - first + row


def _block(index: int, stage: Stage, across: Across, top: float, height: float, hue: int) -> Element:
    left = across(stage.start_seconds)
    width = max(across(stage.finish_seconds) - left, 0.6)
    size, time = write.count(len(stage.nodes), "node"), write.seconds(took(stage))
    hint = f"Stage {index} on {write.lanes(stage.lanes)}: {size}, {time}, from {write.seconds(stage.start_seconds)}"
    block = el("g", el("title", hint), class_=f"stage d{hue}", data_stage=str(index))
    outline = width >= _HAIR
    inset = 0.5 if outline else 0.3 if width > 1.5 else 0.0
    block.append(
        el(
            "rect",
            x=left + inset,
            y=top,
            width=width - 2 * inset,
            height=height,
            rx=2.0 if outline else None,
            class_=None if outline else "thin",
        )
    )
    labels = (f"{index} · {size} · {time}", f"{index} · {time}", f"{index}") if height >= 12 else ()
    fits = [label for label in labels if len(label) * _LETTER + 10 <= width]
    if fits:
        block.append(el("text", fits[0], x=left + 6, y=top + height / 2 + 4))
    return block
