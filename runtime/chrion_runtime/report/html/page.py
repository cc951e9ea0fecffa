"""A plan file as one HTML page that needs nothing but itself: tables, and pictures in SVG."""

from collections.abc import Mapping
from importlib.metadata import version

from chrion_api import Frontier, PlanFile
from chrion_runtime.report import format as write
from chrion_runtime.report import style
from chrion_runtime.report.html.bucket import frontier_figure, numbers
from chrion_runtime.report.html.parts import document, row, swatch, table
from chrion_runtime.report.html.plan import plan_section
from chrion_runtime.report.markup import Element, el
from chrion_runtime.report.model.bucket import TRUNCATED, BucketReport
from chrion_runtime.report.model.timeline import device_hues

# Even if a name got past the escaping, the browser would neither run nor load anything for it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def standalone_page(plan_file: PlanFile, title: str) -> str:
    """The page as text: no script, nothing loaded from elsewhere, light and dark, fit to print."""
    hues = device_hues((plan for bucket in plan_file.buckets for plan in bucket.plans), plan_file.devices)
    sheet = el("style")
    sheet.text = f"\n{style()}"
    main = el("main", *(_bucket(bucket, hues, index) for index, bucket in enumerate(plan_file.buckets)))
    footer = el("footer", f"chrion {version('chrion')} · plan file version {plan_file.version}", class_="soft")
    policy = el("meta", http_equiv="Content-Security-Policy", content=_POLICY)
    return document(title, (policy, sheet), (_header(plan_file, title, hues), main, footer))


def _header(plan_file: PlanFile, title: str, hues: Mapping[str, int]) -> Element:
    buckets = write.count(len(plan_file.buckets), "shape bucket")
    warning = el("p", el("strong", "Truncated: "), TRUNCATED, class_="warning", role="note")
    rows = []
    for name, hue in hues.items():
        key = plan_file.devices.get(name)
        facts = (
            (key.product, f"{key.cores:,}", write.engines(key.engines), key.driver or write.NOTHING)
            if key
            else ("no key in the file", *3 * [write.NOTHING])
        )
        rows.append(row((swatch(f"d{hue}"), name), *facts, text=(0, 1)))
    headings = ("device", "product", "cores", "engines", "driver")
    return el(
        "header",
        el("h1", title),
        el("p", f"{buckets} · model sha256 ", el("code", plan_file.model), class_="soft"),
        warning if plan_file.truncated else None,
        el("p", f"Only the model as it is was planned: {plan_file.fallback}") if plan_file.fallback else None,
        table("Devices that the plans are for", headings, rows, (0, 1)),
    )


def _bucket(frontier: Frontier, hues: Mapping[str, int], index: int) -> Element:
    bucket = BucketReport(frontier)
    return el(
        "section",
        el("h2", write.inputs(frontier.inputs)),
        el("p", bucket.headline),
        frontier_figure(bucket, f"b{index}f"),
        *numbers(bucket),
        el("h3", "Plans"),
        *(
            plan_section(row, plan, hues, f"b{index}p{number}", opened=number == 0)
            for number, (row, plan) in enumerate(bucket.plan_rows)
        ),
        aria_label=f"Shape bucket {index + 1}",
    )
