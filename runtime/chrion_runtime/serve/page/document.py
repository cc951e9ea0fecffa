"""The page as HTML, complete without its script, which only keeps the numbers up to date."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from chrion_api import SLO, Frontier
from chrion_runtime.choice.selection import Selection
from chrion_runtime.report import format as write
from chrion_runtime.report.html.bucket import frontier_figure, numbers
from chrion_runtime.report.html.parts import document, figure, fold, row, swatch, table
from chrion_runtime.report.html.plan import facts, schedule_figure
from chrion_runtime.report.markup import Element, el
from chrion_runtime.report.model.bucket import BucketReport
from chrion_runtime.report.model.timeline import Timeline, device_hues
from chrion_runtime.serve.models.registry import ModelRegistry, ServedModel
from chrion_runtime.serve.page.now import now
from chrion_runtime.serve.planned import PlannedServable

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


def live_page(registry: ModelRegistry) -> str:
    """The whole page."""
    state = now(registry)
    title = "Chrion: " + ", ".join(model["name"] for model in state["models"])
    head = (
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
    models = (_model(model, data, f"m{index}") for index, (model, data) in enumerate(_pairs(registry, state)))
    main = el("main", *models, _lanes(state["lanes"]))
    footer = el(
        "footer",
        el("a", "metrics", href="metrics"),
        " · ",
        el("a", "this page as JSON", href="page/now.json"),
        class_="soft",
    )
    return document(title, head, (header, main, footer))


def _pairs(registry: ModelRegistry, state: dict[str, Any]) -> Iterator[tuple[ServedModel, dict[str, Any]]]:
    numbers = {data["name"]: data for data in state["models"]}
    for model in registry.models:
        if model.servable.name in numbers:
            yield model, numbers[model.servable.name]


def _model(model: ServedModel, data: dict[str, Any], key: str) -> Element:
    servable = model.servable
    heading = el("h2", servable.name, " ", el("span", class_="badge", data_value="held"))
    section = el("section", heading, class_="model", data_model=servable.name, aria_label=f"Model {servable.name}")
    if isinstance(servable, PlannedServable):
        section.append(el("p", _objective(servable), class_="soft"))
    section.append(_tiles(data))
    section.append(_latency(key))
    if isinstance(servable, PlannedServable):
        in_use = servable.in_use
        hues = device_hues(plan for frontier, _ in in_use for plan in frontier.plans)
        for index, (frontier, selection) in enumerate(in_use):
            section.append(_bucket(frontier, selection, hues, f"{key}b{index}"))
        if data["stale"]:
            section.append(el("p", "The plan is stale: ", data["stale"], class_="missing"))
        section.append(_moves(data["moves"]))
    return section


def _objective(servable: PlannedServable) -> str:
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
    title = el("title", "Latency of the last minute while this page is open: p50 and p99", id=f"{key}c")
    named = {"role": "img", "aria_labelledby": f"{key}c"}
    chart = el("svg", title, class_="latency", viewBox="0 0 1000 150", data_chart="latency", **named)
    legend = [el("span", swatch(name), name, class_="device") for name in ("p99", "p50")]
    return figure(chart, *legend, "over the last minute of answers, while this page is open", hidden="hidden")


def _bucket(frontier: Frontier, selection: Selection, hues: Mapping[str, int], key: str) -> Element:
    plan = selection.plan
    bucket, timeline = BucketReport(frontier, plan), Timeline(plan)
    return el(
        "section",
        el("h3", write.inputs(frontier.inputs)),
        el("p", el("b", plan.name), ", ", selection.reason, class_=None if selection.meets_slo else "missing"),
        el("p", facts(plan, timeline), class_="soft"),
        schedule_figure(timeline, hues, f"{key}g", "as predicted for the plan in use"),
        frontier_figure(bucket, f"{key}f"),
        fold("Plans and baselines in numbers", *numbers(bucket)),
        class_="bucket",
    )


def _moves(moves: list[dict[str, str]]) -> Element:
    text = range(3)
    rows = (
        row(el("time", move["time"], datetime=move["time"]), f"{move['from']} → {move['to']}", move["why"], text=text)
        for move in moves
    )
    known = table("Newest first", ("time", "plans", "why"), rows, text)
    content = known if moves else el("p", "None since the server started.", class_="soft")
    return el("section", el("h3", "Changes of plan"), content, class_="moves")


def _lanes(lanes: dict[str, float]) -> Element:
    """How busy each lane is: known only once the script has looked twice."""
    rows = [
        el(
            "tr",
            el("th", lane, scope="row", class_="text"),
            el("td", write.seconds(seconds), data_busy_seconds=""),
            el("td", el("span", write.NOTHING), el("progress", value="0"), data_busy=lane),
            data_lane=lane,
        )
        for lane, seconds in lanes.items()
    ]
    whole = table("Held by stages of any model", ("lane", "since start", "now"), rows)
    return el("section", el("h2", "Lanes"), whole, class_="lanes", hidden=None if lanes else "hidden")
