"""The predicted schedule as a Gantt chart in SVG: one row a lane, a block a stage, coloured by device."""

from collections.abc import Iterator, Mapping

from rich.cells import cell_len

from chrion_api import Stage
from chrion_runtime.report import format as write
from chrion_runtime.report.axis import time_axis
from chrion_runtime.report.markup import Element, el
from chrion_runtime.report.model.timeline import LaneUse, Timeline, device_of, stage_labels, took
from chrion_runtime.report.svg.picture import WIDTH, Across, picture, time_grid

_LETTER = 6.4
"""Width of a letter at the chart's font size, on the safe side."""
_USE = 52
"""Room at the right for each lane's use."""
_HAIR = 6
"""A block narrower than this is drawn without an outline."""


def gantt(timeline: Timeline, hues: Mapping[str, int], key: str) -> Element:
    """The chart, 1000 wide; `hues` gives each device's hue, `key` makes ids unique in the page."""
    lanes = list(timeline.stages_by_lane)
    row = 30 if len(lanes) <= 12 else 20 if len(lanes) <= 40 else 12
    gutter = min(max(cell_len(write.clip(lane, 22)) for lane in lanes) * _LETTER + 12, 160)
    axis = time_axis(0.0, timeline.makespan, 10)
    tops = {lane: 18.0 + index * (row + 4) for index, lane in enumerate(lanes)}
    bottom = 18.0 + len(lanes) * (row + 4)

    def across(value: float) -> float:
        return gutter + axis.at(value) * (WIDTH - gutter - _USE)

    return picture(
        "gantt",
        bottom + 34,
        key,
        f"Predicted schedule of plan {timeline.plan.name}",
        f"{timeline.extent} over {write.seconds(timeline.makespan)}",
        el("g", *time_grid(axis.marks, across, 16, bottom + 2, bottom + 17), class_="grid"),
        el("text", "busy", x=WIDTH, y=11, class_="note end"),
        *(label for use in timeline.uses for label in _labels(use, tops[use.lane] + row / 2 + 4)),
        *(
            _block(index, stage, across, top, height, hues[device_of(stage.lanes[0])])
            for index, stage in enumerate(timeline.plan.stages)
            for top, height in _bands(stage, tops, row)
        ),
    )


def _labels(use: LaneUse, y: float) -> tuple[Element, Element]:
    name = el("text", el("title", use.lane), write.clip(use.lane, 22), x=0, y=y, class_="lane")
    return name, el("text", write.share(use.utilisation), x=WIDTH, y=y, class_="note end")


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
    outline = width >= _HAIR
    inset = 0.5 if outline else 0.3 if width > 1.5 else 0.0
    labels = stage_labels(index, stage) if height >= 12 else ()
    label = next((label for label in labels if len(label) * _LETTER + 10 <= width), None)
    return el(
        "g",
        el("title", hint),
        el(
            "rect",
            x=left + inset,
            y=top,
            width=width - 2 * inset,
            height=height,
            rx=2.0 if outline else None,
            class_=None if outline else "thin",
        ),
        el("text", label, x=left + 6, y=top + height / 2 + 4) if label else None,
        class_=f"stage d{hue}",
        data_stage=str(index),
    )
