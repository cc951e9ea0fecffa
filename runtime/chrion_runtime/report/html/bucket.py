"""A bucket on a page: its frontier as a picture, and the tables beside it."""

from collections.abc import Iterator

from chrion_runtime.report import format as write
from chrion_runtime.report.html.parts import figure, row, table
from chrion_runtime.report.markup import Element, el
from chrion_runtime.report.model.bucket import BucketReport, ComparisonRow
from chrion_runtime.report.svg.frontier import frontier


def frontier_figure(bucket: BucketReport, key: str) -> Element:
    """The picture of the frontier; `key` makes ids unique in the page."""
    picture = frontier(bucket, key)
    if not bucket.uses_gpu:
        return figure(picture)
    ring = "the ringed plan is in use, " if bucket.in_use else ""
    return figure(picture, f"Circles are plans, squares baselines; {ring}a dashed outline is predicted only.")


def numbers(bucket: BucketReport) -> Iterator[Element]:
    """Every plan and baseline in tables: how fast they are, and where a GPU is used what takes its memory."""
    headings = ("", "p50", "p90", "p99", "runs", "predicted", "measured vs predicted", "speed-up", "GPU memory")
    caption = "Latency of one run, measured beside the baselines; speed-up is over the best baseline's p50"
    if not bucket.all_measured:
        caption += ", in parentheses where it rests on a prediction"
    yield table(caption, headings, [_row(one, *_latencies(one)) for one in bucket.rows])
    if bucket.predictions:
        yield el("p", bucket.predictions, class_="soft")
    if bucket.uses_gpu:
        rows = [_row(one, *one.gpu_parts.values()) for one in bucket.rows]
        yield table("GPU memory by what takes it", ("", *bucket.rows[0].gpu_parts), rows)


def _row(one: ComparisonRow, *cells: str) -> Element:
    name = (el("span", one.mark, class_="mark"), one.name + (" (in use)" if one.in_use else ""))
    return row(name, *cells, class_=None if one.plan else "base")


def _latencies(one: ComparisonRow) -> tuple[str, ...]:
    if one.measured:
        percentiles = map(write.seconds, (one.measured.p50, one.measured.p90, one.measured.p99))
        measured = (*percentiles, f"{one.measured.repetitions:,}")
    else:
        measured = ("predicted only", *3 * [write.NOTHING])
    predicted = write.seconds(one.plan.predicted_seconds) if one.plan else write.NOTHING
    return (*measured, predicted, one.off_text, one.speedup_text, write.size(one.gpu.total))
