"""The frontier in SVG: latency against GPU memory, or latency alone where no GPU is used."""

from collections.abc import Iterator

from rich.cells import cell_len

from chrion_runtime.report import format as write
from chrion_runtime.report.axis import bytes_axis, spread, time_axis
from chrion_runtime.report.markup import Element, el
from chrion_runtime.report.model.bucket import BucketReport, ComparisonRow
from chrion_runtime.report.svg.picture import WIDTH, picture, time_grid

_HEIGHT = 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, WIDTH - 24, 18, _HEIGHT - 44
_LETTER = 6.6
_BAR = 28
"""From one bar to the next."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def frontier(bucket: BucketReport, key: str) -> Element:
    """The picture of one bucket, 1000 wide, the plan in use marked; `key` makes ids unique in the page."""
    if bucket.uses_gpu:
        height, title, content = _HEIGHT, "Frontier: median latency against GPU memory", _scatter(bucket)
    else:
        height, content = 46 + _BAR * len(bucket.rows), _bars(bucket.rows)
        title = "Median latency of the plans and baselines; none takes GPU memory"
    return picture("frontier", height, key, title, "The table beside it holds the same numbers.", *content)


def _scatter(bucket: BucketReport) -> Iterator[Element]:
    rows = bucket.rows
    memory = bytes_axis(max(row.gpu.total for row in rows) * 1.12, 5)
    time = time_axis(*spread([row.seconds for row in rows]), 9)

    def across(seconds: float) -> float:
        return _LEFT + time.at(seconds) * (_RIGHT - _LEFT)

    def up(nbytes: float) -> float:
        return _BOTTOM - memory.at(nbytes) * (_BOTTOM - _TOP)

    yield el(
        "g",
        *(el("path", d=f"M{_LEFT} {up(value):.1f}H{_RIGHT}") for value, _ in memory.ticks),
        *(el("text", text, x=_LEFT - 8, y=up(value) + 4, class_="note end") for value, text in memory.marks),
        *time_grid(time.ticks, across, _BOTTOM, _BOTTOM + 5, _BOTTOM + 19),
        el("text", f"median latency, {time.unit}", x=_RIGHT, y=_HEIGHT - 6, class_="note end"),
        el("text", "GPU memory", x=0, y=11, class_="note"),
        class_="grid",
    )
    steps = [(across(seconds), up(nbytes)) for seconds, nbytes in bucket.stairs]
    path = f"M{steps[0][0]:.1f} {steps[0][1]:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in steps[1:])
    yield el("path", d=path, class_="stairs")
    points = [(across(row.seconds), up(row.gpu.total)) for row in rows]
    taken: list[Box] = [(x - 10, y - 10, x + 10, y + 10) for x, y in points]
    for row, (x, y) in zip(rows, points, strict=True):
        yield _point(row, x, y)
        alone = sum(abs(x - left) < 16 and abs(y - top) < 16 for left, top in points) == 1
        yield from _label(row, x, y, taken, "" if alone else f"{row.mark} ")


def _group(row: ComparisonRow, shape: str, also: str, *content: Element | None) -> Element:
    """A row's shapes, with the row in words as their hint."""
    kind = "plan" if row.plan else "base"
    known = "" if row.measured else " predicted"
    hint = f"{row.name}: {write.seconds(row.seconds)}{known}{also}{' (in use)' if row.in_use else ''}"
    return el("g", el("title", hint), *content, class_=f"{shape} {kind}{known}{' used' if row.in_use else ''}")


def _point(row: ComparisonRow, x: float, y: float) -> Element:
    return _group(
        row,
        "point",
        f", {write.size(row.gpu.total)} of GPU memory",
        el("circle", cx=x, cy=y, r=13.5, class_="ring") if row.in_use else None,
        el("circle", cx=x, cy=y, r=9) if row.plan else el("rect", x=x - 8, y=y - 8, width=16, height=16, rx=2),
        el("text", row.mark, x=x, y=y + 4, class_="middle"),
    )


def _label(row: ComparisonRow, x: float, y: float, taken: list[Box], mark: str) -> Iterator[Element]:
    """The row's name at the first free place around its point; nothing where all are taken."""
    text = write.clip(mark + row.name, 30)
    width = cell_len(text) * _LETTER
    for left, base in _places(x, y, width):
        box = (left - 2, base - 11, left + width + 2, base + 4)
        inside = box[0] >= _LEFT and box[2] <= WIDTH and box[1] >= 0 and box[3] <= _BOTTOM
        if inside and not any(
            box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in taken
        ):
            taken.append(box)
            yield el("text", text, x=left, y=base, class_="name" if row.plan else "name base")
            return


def _places(x: float, y: float, width: float) -> Iterator[tuple[float, float]]:
    yield x + 12, y - 8  # above the step that leads on from a plan
    for drop in (0, -18, 18):
        yield x + 14, y + 4 + drop
        yield x - 14 - width, y + 4 + drop
    yield x - width / 2, y - 16
    yield x - width / 2, y + 24


def _bars(rows: list[ComparisonRow]) -> Iterator[Element]:
    gutter = min(max(cell_len(write.clip(row.name, 30)) for row in rows) * _LETTER + 44, 260)
    slowest = max(row.seconds for row in rows)
    tails = [row.measured.p99 for row in rows if row.measured]
    # One noisy tail must not squeeze every bar: it is cut at three times the slowest median.
    axis = time_axis(0.0, min(max([slowest, *tails]), 3 * slowest) * 1.02 or 1e-6, 8)
    right, bottom = WIDTH - 90, 6 + _BAR * len(rows)

    def across(seconds: float) -> float:
        return gutter + axis.at(seconds) * (right - gutter)

    caption = f"latency, {axis.unit}: bar to the median, line to p99 with a tick at p90"
    yield el(
        "g",
        *time_grid(axis.ticks, across, 2, bottom, bottom + 16),
        el("text", caption, x=right, y=bottom + 34, class_="note end"),
        class_="grid",
    )
    for index, row in enumerate(rows):
        y, end, tail = 16.0 + index * _BAR, across(row.seconds), None
        bar = el("rect", x=gutter, y=y - 8, width=max(end - gutter, 1), height=16, rx=2)
        if row.measured:
            start, middle, end = end, across(row.measured.p90), across(row.measured.p99)
            tail = el("path", d=f"M{start:.1f} {y:.1f}H{end:.1f}M{middle:.1f} {y - 4:.1f}v8", class_="tail")
        yield _group(
            row,
            "bar",
            "",
            el("text", row.mark, x=12, y=y + 4, class_="note middle"),
            el("text", write.clip(row.name, 30), x=30, y=y + 4, class_="name"),
            bar,
            tail,
            el("text", row.median_text + (", in use" if row.in_use else ""), x=end + 8, y=y + 4, class_="note"),
        )
