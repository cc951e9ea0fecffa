"""The page as HTML, complete without its script, which only keeps the numbers up to date."""

from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any

from chrion_api import SLO, Frontier
from chrion_runtime.choice.selection import Selection
from chrion_runtime.drawing import format as write
from chrion_runtime.drawing.comparison import uses_gpu
from chrion_runtime.drawing.frontier_svg import frontier as draw_frontier
from chrion_runtime.drawing.gantt_svg import gantt
from chrion_runtime.drawing.markup import Element, el, render, table
from chrion_runtime.drawing.schedule import Schedule, devices, hues_of
from chrion_runtime.serve.models.registry import ModelRegistry, ServedModel
from chrion_runtime.serve.page.now import now
from chrion_runtime.serve.planned import Planned

TILES = (
    ("rate", "requests/s"),
    ("p50", "p50"),
    ("p90", "p90"),
    ("p99", "p99"),
    ("in-flight", "in flight"),
    ("waiting", "waiting"),
    ("refused", "refused"),
    ("failed", "failed"),
)
"""What each model shows of the last minute; the last two count from the start."""


def document(registry: ModelRegistry) -> str:
    """The whole page."""
    state = now(registry)
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", "Chrion: " + ", ".join(model["name"] for model in state["models"])),
        el("link", rel="icon", href="page/icon.svg", type="image/svg+xml"),
        el("link", rel="stylesheet", href="page/page.css"),
        el("script", src="page/page.js", defer="defer"),
    )
    header = el(
        "header",
        el("h1", "Chrion"),
        el("span", version("chrion"), class_="soft"),
        el("span", "ready" if state["ready"] else "shutting down", id="state", class_="soft"),
    )
    main = el("main")
    main.extend(_model(model, data, f"m{index}") for index, (model, data) in enumerate(_pairs(registry, state)))
    main.append(_lanes(state["lanes"]))
    footer = el(
        "footer", el("a", "metrics", href="metrics"), " · ", el("a", "these numbers as JSON", href="page/now.json")
    )
    footer.set("class", "soft")
    return render(el("html", head, el("body", header, main, footer), lang="en"))


def _pairs(registry: ModelRegistry, state: dict[str, Any]) -> Iterator[tuple[ServedModel, dict[str, Any]]]:
    numbers = {data["name"]: data for data in state["models"]}
    for model in registry.models:
        if model.servable.name in numbers:
            yield model, numbers[model.servable.name]


def _model(model: ServedModel, data: dict[str, Any], key: str) -> Element:
    servable = model.servable
    heading = el("h2", servable.name, " ", el("span", class_="badge", data_value="held"))
    section = el("section", heading, class_="model", data_model=servable.name, aria_label=f"Model {servable.name}")
    if isinstance(servable, Planned):
        section.append(el("p", _objective(servable), class_="soft"))
    section.append(_tiles(data))
    section.append(_latency(key))
    if isinstance(servable, Planned):
        in_use = servable.in_use
        colours = hues_of(devices(frontier for frontier, _ in in_use))
        for index, (bucket, selection) in enumerate(in_use):
            section.append(_bucket(bucket, selection, colours, f"{key}b{index}"))
        if data["stale"]:
            section.append(el("p", "The plan is stale: ", data["stale"], class_="missing"))
        section.append(_moves(data["moves"]))
    return section


def _objective(servable: Planned) -> str:
    slo: SLO = servable.slo
    parts = [f"{servable.mode.value} mode"]
    if slo.latency is not None:
        parts.append(f"p{slo.percentile:g} within {slo.latency}")
    if slo.gpu_memory is not None:
        parts.append(f"GPU memory within {slo.gpu_memory}")
    if slo.latency is None and slo.gpu_memory is None:
        parts.append("no objective")
    return " · ".join(parts)


def _tiles(data: dict[str, Any]) -> Element:
    tiles = el("dl", class_="tiles")
    values = {
        "rate": f"{data['rate']:.3g}",
        "in-flight": f"{data['inFlight']:,}",
        "waiting": f"{data['waiting']:,}",
        "refused": f"{data['outcomes']['refused'] + data['outcomes']['overloaded']:,}",
        "failed": f"{data['outcomes']['failed']:,}",
    }
    for name, value in data["latency"].items():
        values[name] = write.NOTHING if value is None else write.seconds(value)
    for name, label in TILES:
        tiles.append(el("div", el("dt", label), el("dd", values[name], data_value=name)))
    return tiles


def _latency(key: str) -> Element:
    """An empty chart, which the script fills while the page is open."""
    chart = el("svg", class_="latency", viewBox="0 0 1000 150", role="img", data_chart="latency")
    chart.set("aria-labelledby", f"{key}c")
    chart.append(el("title", "Latency of the last minute while this page is open: p50 and p99", id=f"{key}c"))
    caption = el(
        "figcaption",
        el("span", class_="key p99", aria_hidden="true"),
        el("span", "p99", class_="device"),
        el("span", class_="key p50", aria_hidden="true"),
        el("span", "p50", class_="device"),
        "of the answers of the last minute, while this page is open",
        class_="soft",
    )
    return el("figure", el("div", chart, class_="scroll"), caption, class_="watch", hidden="hidden")


def _bucket(bucket: Frontier, selection: Selection, colours: dict[str, int], key: str) -> Element:
    plan, schedule = selection.plan, Schedule(selection.plan)
    known = write.seconds(plan.seconds) + ("" if plan.measured else " predicted only")
    facts = f"{known} · {write.count(len(plan.stages), 'stage')} on {write.count(len(schedule.uses), 'lane')}"
    if plan.gpu_bytes.total:
        facts += f" · {write.size(plan.gpu_bytes.total)} of GPU memory"
    block = el(
        "section",
        el("h3", write.inputs(bucket.inputs)),
        el("p", el("b", plan.name), ", ", selection.reason, class_=None if selection.meets_slo else "missing"),
        el("p", facts, class_="soft"),
        class_="bucket",
    )
    block.extend(_schedule(schedule, colours, f"{key}g"))
    caption = (
        "Circles are plans, squares baselines; the ringed plan is in use, a dashed outline is predicted only."
        if uses_gpu(bucket)
        else None
    )
    figure = el("figure", el("div", draw_frontier(bucket, f"{key}f", plan.name), class_="scroll"))
    if caption is not None:
        figure.append(el("figcaption", caption, class_="soft"))
    block.append(figure)
    return block


def _schedule(schedule: Schedule, colours: dict[str, int], key: str) -> Iterable[Element]:
    if not schedule.makespan:
        yield el("p", "The plan holds no predicted times, so there is no schedule to draw.", class_="soft")
        return
    legend = el("figcaption", class_="soft")
    for device in dict.fromkeys(use.device for use in schedule.uses):
        swatch = el("span", class_=f"key d{colours[device]}", aria_hidden="true")
        legend.append(el("span", swatch, device, class_="device"))
    legend.append(el("span", "as it is predicted for the plan in use"))
    yield el("figure", el("div", gantt(schedule, colours, key), class_="scroll"), legend)


def _moves(moves: list[dict[str, str]]) -> Element:
    section = el("section", el("h3", "Changes of plan"), class_="moves")
    if not moves:
        section.append(el("p", "None since the start.", class_="soft"))
        return section
    rows = [
        el(
            "tr",
            el("th", el("time", move["time"], datetime=move["time"]), scope="row", class_="text"),
            el("td", f"{move['from']} → {move['to']}", class_="text"),
            el("td", move["why"], class_="text"),
        )
        for move in moves
    ]
    section.append(table("The newest first", ("time", "plans", "why"), rows, 3))
    return section


def _lanes(lanes: dict[str, float]) -> Element:
    """How busy each lane is: known only once the script has looked twice."""
    section = el("section", el("h2", "Lanes"), class_="lanes", data_lanes="", hidden="hidden" if not lanes else None)
    rows = [
        el(
            "tr",
            el("th", lane, scope="row", class_="text"),
            el("td", write.seconds(seconds), data_busy_seconds=""),
            el("td", el("progress", max="1", value="0"), el("span", write.NOTHING), data_busy=lane),
            data_lane=lane,
        )
        for lane, seconds in lanes.items()
    ]
    section.append(table("Held by stages of any model", ("lane", "since the start", "now"), rows, 1))
    return section
