"""A plan file as one HTML page that needs nothing but itself: tables, and pictures in SVG."""

from collections.abc import Iterable
from importlib import resources

from chrion.explain.page_plan import details
from chrion.version import __version__
from chrion_api import Frontier, PlanFile
from chrion_runtime import drawing
from chrion_runtime.drawing import format as write
from chrion_runtime.drawing.comparison import Entry, comparison, headline, uses_gpu
from chrion_runtime.drawing.frontier_svg import frontier
from chrion_runtime.drawing.markup import Element, el, render, table
from chrion_runtime.drawing.schedule import devices, hues_of

# Even if a name got past the escaping, the browser would neither run nor load anything for it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def html(plan_file: PlanFile, title: str) -> str:
    """The page as text: no script, nothing loaded from elsewhere, light and dark, fit to print."""
    hues = hues_of(devices(plan_file.buckets, plan_file.devices))
    style = el("style")
    own = resources.files("chrion.explain").joinpath("page.css").read_text(encoding="utf-8")
    style.text = f"\n{drawing.style()}{own}"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        style,
    )
    body = el("body", el("header", *_header(plan_file, title, hues)))
    main = el("main")
    for index, bucket in enumerate(plan_file.buckets):
        main.append(_bucket(bucket, hues, f"b{index}"))
    body.append(main)
    body.append(el("footer", f"chrion {__version__} · plan file version {plan_file.version}"))
    return render(el("html", head, body, lang="en"))


def _header(plan_file: PlanFile, title: str, hues: dict[str, int]) -> Iterable[Element]:
    yield el("h1", title)
    buckets = write.count(len(plan_file.buckets), "shape bucket")
    yield el("p", f"{buckets} · model sha256 ", el("code", plan_file.model), class_="soft")
    if plan_file.truncated:
        sentence = "time ran out before every candidate was tried; a better plan may exist."
        yield el("p", el("strong", "Truncated: "), sentence, class_="warning", role="note")
    rows = []
    for name in hues:
        key = plan_file.devices.get(name)
        swatch = el("span", class_=f"key d{hues[name]}", aria_hidden="true")
        cells = [el("th", swatch, name, scope="row", class_="text")]
        facts = (
            (key.product, f"{key.cores:,}", key.onnxruntime, key.driver or write.NOTHING)
            if key
            else ("no key in the file", *3 * [write.NOTHING])
        )
        cells += [el("td", fact, class_=None if index else "text") for index, fact in enumerate(facts)]
        rows.append(el("tr", *cells))
    yield table("Devices that the plans hold for", ("device", "product", "cores", "onnxruntime", "driver"), rows, 2)


def _bucket(bucket: Frontier, hues: dict[str, int], key: str) -> Element:
    entries = comparison(bucket)
    section = el("section", el("h2", write.inputs(bucket.inputs)), aria_label=f"Shape bucket {int(key[1:]) + 1}")
    section.append(el("p", headline(bucket)))
    caption = "Circles are plans, squares baselines; a dashed outline is predicted only." if uses_gpu(bucket) else None
    figure = el("figure", el("div", frontier(bucket, f"{key}f"), class_="scroll"))
    if caption:
        figure.append(el("figcaption", caption, class_="soft"))
    section.append(figure)
    section.append(_comparison(entries))
    if bucket.candidates:
        section.append(el("p", write.predictions(bucket.candidates), class_="soft"))
    if uses_gpu(bucket):
        section.append(_memory(entries))
    section.append(el("h3", "Plans"))
    for index, entry in enumerate(entry for entry in entries if entry.plan):
        section.append(details(entry, hues, f"{key}p{index}", opened=index == 0))
    return section


def _comparison(entries: list[Entry]) -> Element:
    headings = ("", "p50", "p90", "p99", "runs", "predicted", "measured vs predicted", "speed-up", "GPU memory")
    caption = "Latency of one run, measured beside the baselines; speed-up is over the best baseline's p50"
    if any(not entry.measured for entry in entries):
        caption += ", in parentheses where it rests on a prediction"
    return table(caption, headings, [_row(entry, _numbers(entry)) for entry in entries], 1)


def _memory(entries: list[Entry]) -> Element:
    headings = ("", "weights", "activations", "workspace", "context", "total")
    rows = []
    for entry in entries:
        gpu = entry.gpu
        parts = (gpu.weights, gpu.activations, gpu.workspace, gpu.context, gpu.total)
        rows.append(_row(entry, map(write.size, parts)))
    return table("GPU memory by what takes it", headings, rows, 1)


def _row(entry: Entry, numbers: Iterable[str]) -> Element:
    name = el("th", el("span", entry.mark, class_="mark"), entry.name, scope="row", class_="text")
    return el("tr", name, *(el("td", value) for value in numbers), class_=None if entry.plan else "base")


def _numbers(entry: Entry) -> Iterable[str]:
    if entry.measured:
        yield from map(write.seconds, (entry.measured.p50, entry.measured.p90, entry.measured.p99))
        yield f"{entry.measured.repetitions:,}"
    else:
        yield from ("predicted only", write.NOTHING, write.NOTHING, write.NOTHING)
    yield write.NOTHING if entry.predicted is None else write.seconds(entry.predicted)
    yield write.NOTHING if entry.off is None else write.change(entry.off)
    yield entry.speedup_text
    yield write.size(entry.gpu.total)
