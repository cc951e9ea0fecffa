"""A plan on a page: what it comes to, its rewrites, schedule and use of the lanes, and every stage."""

from collections.abc import Iterator, Mapping

from chrion_api import Plan
from chrion_runtime.report import format as write
from chrion_runtime.report.html.parts import figure, fold, row, swatch, table
from chrion_runtime.report.markup import Element, el
from chrion_runtime.report.model.bucket import ComparisonRow
from chrion_runtime.report.model.timeline import UNTIMED, Timeline, device_of
from chrion_runtime.report.svg.gantt import gantt

SHORT_LIST = 40
"""A longer list of stages is folded away."""


def facts(plan: Plan, timeline: Timeline) -> str:
    """The plan's latency, its stages and its GPU memory in a line."""
    known = write.seconds(plan.seconds) + ("" if plan.measured else " predicted only")
    memory = f" · {write.size(plan.gpu_bytes.total)} of GPU memory" if plan.gpu_bytes.total else ""
    return f"{known} · {timeline.extent}{memory}"


def schedule_figure(timeline: Timeline, hues: Mapping[str, int], key: str, note: str = "") -> Element:
    """The predicted schedule and its colours; `hues` gives each device's hue, `key` makes ids unique in the page."""
    if not timeline.makespan:
        return el("p", UNTIMED, class_="soft")
    legend = [
        el("span", swatch(f"d{hues[device]}"), device, class_="device")
        for device in dict.fromkeys(use.device for use in timeline.uses)
    ]
    return figure(gantt(timeline, hues, key), *legend, note)


def plan_section(compared: ComparisonRow, plan: Plan, hues: Mapping[str, int], key: str, *, opened: bool) -> Element:
    """The plan, folded under a line that names it."""
    timeline, stages = Timeline(plan), len(plan.stages)
    mark, line = el("span", compared.mark, class_="mark"), el("span", facts(plan, timeline), class_="soft")
    content = [
        *_rewrites(plan),
        el("h3", "Predicted schedule"),
        schedule_figure(timeline, hues, key),
        _lanes(timeline, hues) if timeline.makespan else None,
        el("p", timeline.bound) if timeline.bound else None,
        fold(
            f"All {write.count(stages, 'stage')}" if stages > 1 else "The stage",
            _stages(timeline, hues),
            opened=stages <= SHORT_LIST,
        ),
    ]
    return fold((mark, el("b", plan.name), line), *content, opened=opened, class_="plan")


def _rewrites(plan: Plan) -> Iterator[Element]:
    yield el("p", "Graph sha256 ", el("code", plan.graph), class_="soft")
    if not plan.rewrites:
        yield el("p", "No rewrites.", class_="soft")
        return
    yield el("h3", "Rewrites, in order")
    yield el("ul", *(el("li", el("code", write.rewrite(entry))) for entry in plan.rewrites))


def _lanes(timeline: Timeline, hues: Mapping[str, int]) -> Element:
    rows = (
        row(
            use.lane,
            f"{use.stages:,}",
            write.seconds(use.busy),
            write.seconds(use.idle),
            (
                write.share(use.utilisation),
                el("progress", value=f"{use.utilisation:.3f}", class_=f"d{hues[use.device]}", aria_hidden="true"),
            ),
        )
        for use in timeline.uses
    )
    headings = ("lane", "stages", "busy", "idle", "utilisation")
    return table(f"Use of the lanes: {timeline.idleness}", headings, rows)


def _stages(timeline: Timeline, hues: Mapping[str, int]) -> Element:
    headings = ("stage", "lanes", "nodes", "count", "engine", "start", "finish", "share of makespan")
    text = (0, 1, 2, 4)
    rows = (
        row(
            str(index),
            (swatch(f"d{hues[device_of(stage.lanes[0])]}"), write.lanes(stage.lanes)),
            write.nodes(stage),
            f"{len(stage.nodes):,}",
            write.engine(stage),
            write.seconds(stage.start_seconds),
            write.seconds(stage.finish_seconds),
            write.share(timeline.share(stage)),
            text=text,
        )
        for index, stage in enumerate(timeline.plan.stages)
    )
    return table("Nodes are indices in the rewritten graph", headings, rows, text)
