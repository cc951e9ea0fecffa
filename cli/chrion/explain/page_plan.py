"""One plan on the page: rewrites, schedule, use of the lanes, and every stage."""

from collections.abc import Iterable

from chrion_api import Plan
from chrion_runtime.drawing import format as write
from chrion_runtime.drawing.comparison import Entry
from chrion_runtime.drawing.gantt_svg import gantt
from chrion_runtime.drawing.markup import Element, el, table
from chrion_runtime.drawing.schedule import Schedule, device_of

SHORT_LIST = 40
"""A longer list of stages is folded away."""


def details(entry: Entry, hues: dict[str, int], key: str, *, opened: bool) -> Element:
    """The plan of `entry`, folded under a line that names it; `key` makes ids unique in the page."""
    plan = entry.plan
    assert plan is not None
    schedule = Schedule(plan)
    known = write.seconds(entry.seconds) + ("" if entry.measured else " predicted only")
    stages = write.count(len(plan.stages), "stage")
    line = f"{known} · {stages} on {write.count(len(schedule.uses), 'lane')} · {write.size(entry.gpu.total)} GPU memory"
    summary = el(
        "summary",
        el("span", entry.mark, class_="mark"),
        el("b", plan.name),
        el("span", line, class_="soft"),
    )
    block = el("details", summary, class_="plan", open="open" if opened else None)
    block.extend(_rewrites(plan))
    block.extend(_schedule(schedule, hues, key))
    if plan.bound_seconds is not None:
        block.append(el("p", write.bound(plan)))
    listed = _stages(schedule, hues)
    heading = el("summary", f"All {stages}" if len(plan.stages) > 1 else "The stage")
    block.append(el("details", heading, listed, open="open" if len(plan.stages) <= SHORT_LIST else None))
    return block


def _rewrites(plan: Plan) -> Iterable[Element]:
    yield el("p", "Graph sha256 ", el("code", plan.graph), class_="soft")
    if not plan.rewrites:
        yield el("p", "No rewrites.", class_="soft")
        return
    yield el("h3", "Rewrites, in order")
    yield el("ul", *(el("li", el("code", write.rewrite(entry))) for entry in plan.rewrites))


def _schedule(schedule: Schedule, hues: dict[str, int], key: str) -> Iterable[Element]:
    yield el("h3", "Predicted schedule")
    if not schedule.makespan:
        yield el("p", "The file holds no predicted times for this plan, so there is no schedule to draw.")
        return
    used = sorted({use.device for use in schedule.uses}, key=list(hues).index)
    legend = el("figcaption", class_="soft")
    for device in used:
        swatch = el("span", class_=f"key d{hues[device]}", aria_hidden="true")
        legend.append(el("span", swatch, device, class_="device"))
    yield el("figure", el("div", gantt(schedule, hues, key), class_="scroll"), legend)
    rows = []
    for use in schedule.uses:
        bar = el("span", el("i", style=f"width:{100 * use.utilisation:.1f}%"), class_=f"use d{hues[use.device]}")
        bar.set("aria-hidden", "true")
        numbers = (f"{use.stages:,}", write.seconds(use.busy), write.seconds(use.idle))
        cells = [el("th", use.lane, scope="row", class_="text"), *(el("td", number) for number in numbers)]
        rows.append(el("tr", *cells, el("td", write.share(use.utilisation), bar)))
    whole = schedule.makespan * len(schedule.uses)
    caption = (
        f"Use of the lanes: makespan {write.seconds(schedule.makespan)}, idle {write.seconds(schedule.idle)} in all, "
        f"{write.share(schedule.idle / whole)} of {write.count(len(schedule.uses), 'lane')}"
    )
    yield table(caption, ("lane", "stages", "busy", "idle", "utilisation"), rows, 1)


def _stages(schedule: Schedule, hues: dict[str, int]) -> Element:
    rows = []
    for index, stage in enumerate(schedule.plan.stages):
        swatch = el("span", class_=f"key d{hues[device_of(stage.lanes[0])]}", aria_hidden="true")
        numbers = (
            write.seconds(stage.start_seconds),
            write.seconds(stage.finish_seconds),
            write.share(schedule.share(stage)),
        )
        rows.append(
            el(
                "tr",
                el("th", str(index), scope="row", class_="text"),
                el("td", swatch, write.lanes(stage.lanes), class_="text"),
                el("td", write.nodes(stage), class_="text"),
                el("td", f"{len(stage.nodes):,}"),
                el("td", stage.optimization.value, class_="text"),
                *(el("td", number) for number in numbers),
            )
        )
    headings = ("stage", "lanes", "nodes", "count", "optimization", "start", "finish", "share of makespan")
    return table("Nodes are indices in the rewritten graph", headings, rows, 3, also=(4,))
