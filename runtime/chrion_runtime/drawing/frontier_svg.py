"""The frontier in SVG: latency against GPU memory, or latency alone where no GPU is used."""

from collections.abc import Iterator

from rich.cells import cell_len

from chrion_api import Frontier
from chrion_runtime.drawing import format as write
from chrion_runtime.drawing.axis import bytes_axis, spread, time_axis
from chrion_runtime.drawing.comparison import Entry, comparison, stairs, uses_gpu
from chrion_runtime.drawing.markup import Element, el

WIDTH, HEIGHT = 1000, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 24, 18, 44
_LETTER = 6.6
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def frontier(bucket: Frontier, key: str, in_use: str | None = None) -> Element:
    """The picture of one bucket, 1000 wide; `key` makes ids unique in the page, the plan named `in_use` is marked."""
    entries = comparison(bucket)
    if uses_gpu(bucket):
        chart, title = _scatter(bucket, entries, in_use), "Frontier: median latency against GPU memory"
    else:
        chart, title = _bars(entries, in_use), "Median latency of the plans and baselines; none takes GPU memory"
    chart.insert(0, el("title", title, id=f"{key}-t"))
    chart.insert(1, el("desc", "The table beside it holds the same numbers.", id=f"{key}-d"))
    chart.set("role", "img")
    chart.set("aria-labelledby", f"{key}-t {key}-d")
    return chart


def _scatter(bucket: Frontier, entries: list[Entry], in_use: str | None) -> Element:
    memory = bytes_axis(max(entry.gpu.total for entry in entries) * 1.12, 5)
    time = time_axis(*spread([entry.seconds for entry in entries]), 9)
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT

    def place(seconds: float, nbytes: int) -> tuple[float, float]:
        return _LEFT + time.at(seconds) * (right - _LEFT), bottom - memory.at(nbytes) * (bottom - _TOP)

    chart = el("svg", class_="frontier", viewBox=f"0 0 {WIDTH} {HEIGHT}")
    grid = el("g", class_="grid")
    for value, text in memory.ticks:
        y = bottom - memory.at(value) * (bottom - _TOP)
        grid.append(el("path", d=f"M{_LEFT} {y:.1f}H{right}"))
        grid.append(el("text", f"{text} {memory.unit}" if value else "0", x=_LEFT - 8, y=y + 4, class_="note end"))
    for value, text in time.ticks:
        x = _LEFT + time.at(value) * (right - _LEFT)
        grid.append(el("path", d=f"M{x:.1f} {bottom}v5"))
        grid.append(el("text", text, x=x, y=bottom + 19, class_="note middle"))
    grid.append(el("text", f"median latency, {time.unit}", x=right, y=HEIGHT - 6, class_="note end"))
    grid.append(el("text", "GPU memory", x=0, y=11, class_="note"))
    chart.append(grid)
    steps = [place(*step) for step in stairs(bucket)]
    path = f"M{steps[0][0]:.1f} {steps[0][1]:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in steps[1:])
    chart.append(el("path", d=path, class_="stairs"))
    points = [place(entry.seconds, entry.gpu.total) for entry in entries]
    taken: list[Box] = [(x - 10, y - 10, x + 10, y + 10) for x, y in points]
    for entry, (x, y) in zip(entries, points, strict=True):
        chart.append(_point(entry, x, y, _used(entry, in_use)))
        alone = sum(abs(x - left) < 16 and abs(y - top) < 16 for left, top in points) == 1
        label = _label(entry, x, y, taken, "" if alone else f"{entry.mark} ")
        if label is not None:
            chart.append(label)
    return chart


def _used(entry: Entry, in_use: str | None) -> bool:
    return entry.plan is not None and entry.name == in_use


def _point(entry: Entry, x: float, y: float, used: bool) -> Element:
    kind = "plan" if entry.plan else "base"
    known = "" if entry.measured else " predicted"
    hint = f"{entry.name}: {write.seconds(entry.seconds)}{known}, {write.size(entry.gpu.total)} of GPU memory"
    hint += " (in use)" if used else ""
    point = el("g", el("title", hint), class_=f"point {kind}{known}{' used' if used else ''}")
    if used:
        point.append(el("circle", cx=x, cy=y, r=13.5, class_="ring"))
    if entry.plan:
        point.append(el("circle", cx=x, cy=y, r=9))
    else:
        point.append(el("rect", x=x - 8, y=y - 8, width=16, height=16, rx=2))
    point.append(el("text", entry.mark, x=x, y=y + 4, class_="middle"))
    return point


def _label(entry: Entry, x: float, y: float, taken: list[Box], mark: str) -> Element | None:
    """The entry's name at the first free place around its point; None where all are taken."""
    text = write.clip(mark + entry.name, 30)
    width = cell_len(text) * _LETTER
    for left, base in _places(x, y, width):
        box = (left - 2, base - 11, left + width + 2, base + 4)
        inside = box[0] >= _LEFT and box[2] <= WIDTH and box[1] >= 0 and box[3] <= HEIGHT - _BOTTOM
        if inside and not any(
            box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in taken
        ):
            taken.append(box)
            return el("text", text, x=left, y=base, class_="name" if entry.plan else "name base")
    return None


def _places(x: float, y: float, width: float) -> Iterator[tuple[float, float]]:
    yield x + 12, y - 8  # above the step that leads on from a plan
    for drop in (0, -18, 18):
        yield x + 14, y + 4 + drop
        yield x - 14 - width, y + 4 + drop
    yield x - width / 2, y - 16
    yield x - width / 2, y + 24


def _bars(entries: list[Entry], in_use: str | None) -> Element:
    row, gutter = 28, min(max(cell_len(write.clip(entry.name, 30)) for entry in entries) * _LETTER + 44, 260)
    slowest = max(entry.seconds for entry in entries)
    tails = [entry.measured.p99 for entry in entries if entry.measured]
    # One noisy tail must not squeeze every bar: it is cut at three times the slowest median.
    axis = time_axis(0.0, min(max([slowest, *tails]), 3 * slowest) * 1.02 or 1e-6, 8)
    space, bottom = WIDTH - gutter - 90, 6 + row * len(entries)
    chart = el("svg", class_="frontier", viewBox=f"0 0 {WIDTH} {bottom + 40}")
    grid = el("g", class_="grid")
    for value, text in axis.ticks:
        x = gutter + axis.at(value) * space
        grid.append(el("path", d=f"M{x:.1f} 2V{bottom}"))
        grid.append(el("text", text, x=x, y=bottom + 16, class_="note middle"))
    caption = f"latency, {axis.unit}: bar to the median, line to p99 with a tick at p90"
    grid.append(el("text", caption, x=gutter + space, y=bottom + 34, class_="note end"))
    chart.append(grid)
    for index, entry in enumerate(entries):
        top = 6.0 + index * row
        x, y = gutter + axis.at(entry.seconds) * space, top + 10
        known = "" if entry.measured else " predicted"
        used = _used(entry, in_use)
        hint = f"{entry.name}: {write.seconds(entry.seconds)}{known}{' (in use)' if used else ''}"
        kind = f"{'plan' if entry.plan else 'base'}{known}{' used' if used else ''}"
        bar = el("g", el("title", hint), class_=f"bar {kind}")
        bar.append(el("text", entry.mark, x=12, y=y + 4, class_="note middle"))
        bar.append(el("text", write.clip(entry.name, 30), x=30, y=y + 4, class_="name"))
        bar.append(el("rect", x=gutter, y=top + 2, width=max(x - gutter, 1), height=16, rx=2))
        end = x
        if entry.measured:
            middle, end = (gutter + axis.at(value) * space for value in (entry.measured.p90, entry.measured.p99))
            bar.append(el("path", d=f"M{x:.1f} {y:.1f}H{end:.1f}M{middle:.1f} {y - 4:.1f}v8", class_="tail"))
        value_text = write.seconds(entry.seconds) if entry.measured else f"({write.seconds(entry.seconds)})"
        bar.append(el("text", value_text + (", in use" if used else ""), x=end + 8, y=y + 4, class_="note"))
        chart.append(bar)
    return chart
