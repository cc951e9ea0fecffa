"""The report: what a person sees of a plan file, in the terminal and as a page."""

import io
import random
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len
from rich.console import Console

from chrion_api import (
    SLO,
    Baseline,
    DeviceKey,
    Frontier,
    GpuBytes,
    Latency,
    Optimization,
    Plan,
    PlanFile,
    Quantity,
    Rewrite,
    Stage,
)
from chrion_api.units import Duration
from chrion_runtime.report import format as write
from chrion_runtime.report.axis import bytes_axis, ruler, time_axis
from chrion_runtime.report.html.page import standalone_page
from chrion_runtime.report.model.bucket import BucketReport
from chrion_runtime.report.model.timeline import Timeline
from chrion_runtime.report.text.terminal import show

MIB = 2**20
CPU = DeviceKey(product="Some CPU 9000", cores=4, onnxruntime="1.31.1")
GPU = DeviceKey(product="Some GPU 100", cores=132, onnxruntime="1.31.1", driver="570.86")
NASTY = '<script>alert("x")</script> & [red]名前[/red] \x1b[31m\n' + "é" * 200


def stage(nodes: tuple[int, ...], lanes: tuple[str, ...], start: float, finish: float) -> Stage:
    return Stage(
        nodes=nodes,
        lanes=lanes,
        optimization=Optimization.ALL,
        start_seconds=start * 1e-3,
        finish_seconds=finish * 1e-3,
    )


def latency(milliseconds: float) -> Latency:
    p50 = milliseconds * 1e-3
    return Latency(p50=p50, p90=p50 * 1.1, p99=p50 * 1.3, repetitions=250)


def two_lanes() -> PlanFile:
    """CPU only: a stage on both lanes, then one on each; a plan that was never measured."""
    lanes = ("cpu/0", "cpu/1")
    fast = Plan(
        name="heft",
        rewrites=(Rewrite(name="split-directions", parameters={"node": 3}),),
        graph="ab" * 32,
        stages=(
            stage((0, 1, 2), lanes, 0, 0.5),
            stage((3,), ("cpu/0",), 0.5, 1.0),
            stage((4, 5, 9), ("cpu/1",), 0.5, 2.0),
        ),
        predicted_seconds=2e-3,
        measured=latency(2.1),
    )
    wide = Plan(name="cpu-all", graph="cd" * 32, stages=(stage((0,), lanes, 0, 3),), predicted_seconds=3e-3)
    baselines = (
        Baseline(name="onnxruntime-default", measured=latency(4.2)),
        Baseline(name="cpu-1-lane", measured=latency(8.4)),
    )
    bucket = Frontier(inputs={"input": (1, 50, 161)}, plans=(fast, wide), baselines=baselines)
    return PlanFile(model="5c" * 32, devices={"cpu": CPU}, buckets=(bucket,))


def with_gpu() -> PlanFile:
    """A GPU beside the CPU, two buckets, and a planner that ran out of time."""
    lanes = ("cuda:0/0", "cuda:0/1")
    plans = tuple(
        Plan(
            name=f"plan-{weights}",
            graph="ef" * 32,
            stages=(
                stage((0,), ("cpu/0", "cpu/2"), 0, time / 2),
                stage((1, 2), lanes, time / 2, time),
            ),
            predicted_seconds=time * 1e-3,
            measured=latency(time * 1.05),
            gpu_bytes=GpuBytes(weights=weights * MIB, activations=7 * MIB, workspace=5 * MIB, context=300 * MIB),
        )
        for time, weights in ((2.0, 400), (3.0, 120), (5.0, 40))
    )
    base = Baseline(name="cuda-only", measured=latency(2.4), gpu_bytes=GpuBytes(weights=412 * MIB, context=300 * MIB))
    buckets = (Frontier(inputs={"x": (1, 9), "state": ()}, plans=plans, baselines=(base,)), two_lanes().buckets[0])
    return PlanFile(model="9f" * 32, devices={"cpu": CPU, "cuda:0": GPU}, buckets=buckets, truncated=True)


def crowded(stages: int = 1500, lanes: int = 8) -> PlanFile:
    """So many stages that most are narrower than a column or a pixel."""
    dice = random.Random(1)
    free = [0.0] * lanes
    made = []
    for index in range(stages):
        lane = min(range(lanes), key=free.__getitem__)
        finish = free[lane] + dice.expovariate(20)
        made.append(stage((index,), (f"cpu/{lane}",), free[lane], finish))
        free[lane] = finish
    plan = Plan(name="heft", graph="aa" * 32, stages=tuple(made), predicted_seconds=max(free) * 1e-3)
    return PlanFile(model="77" * 32, devices={"cpu": CPU}, buckets=(Frontier(inputs={"x": (1,)}, plans=(plan,)),))


def nasty() -> PlanFile:
    """Names that are markup, escapes, very long; no times, no baselines, a device without a key."""
    plan = Plan(
        name=NASTY,
        graph="<b>&",
        rewrites=(Rewrite(name="<i>", parameters={"a": ["</svg>", '"', "\u202e"]}),),
        stages=(stage((0, 2, 4), (f"{NASTY}/0", f"{NASTY}/1"), 0, 0), stage((1,), ('a<b>"/x',), 0, 1e-3)),
        predicted_seconds=0,
        gpu_bytes=GpuBytes(weights=1),
    )
    key = DeviceKey(product=NASTY, cores=1, onnxruntime="<1>", driver=NASTY)
    bucket = Frontier(inputs={NASTY: (1,)}, plans=(plan,), baselines=(Baseline(name=NASTY, measured=latency(1)),))
    return PlanFile(model="00" * 32, devices={NASTY: key}, buckets=(bucket,))


def untimed() -> PlanFile:
    plan = Plan(name="one", graph="", stages=(stage((), ("cpu",), 0, 0),), predicted_seconds=0)
    return PlanFile(model="00" * 32, devices={}, buckets=(Frontier(inputs={}, plans=(plan,)),))


SAMPLES = [two_lanes, with_gpu, crowded, nasty, untimed]


def shown(plan_file: PlanFile, width: int = 80, slo: SLO | None = None) -> str:
    out = io.StringIO()
    show(plan_file, Console(width=width, file=out), slo=slo)
    return out.getvalue()


class Page(HTMLParser):
    """Checks that tags nest, and gathers what the tests ask about."""

    VOID = ("meta", "link", "img", "br", "hr", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def pictures(page: str) -> Iterator[ElementTree.Element]:
    for found in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        yield ElementTree.fromstring(found)


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("width", [40, 80, 200])
def test_nothing_is_wider_than_the_console(sample, width):
    for line in shown(sample(), width).splitlines():
        assert cell_len(line) <= width
        assert line.replace("\u200c", "").isprintable()


def test_the_terminal_shows_measurements_beside_the_baselines():
    text = shown(two_lanes())
    assert "input [1, 50, 161]" in text
    assert "Some CPU 9000 · 4 cores · onnxruntime 1.31.1" in text
    comparisons = [" ".join(line.split()) for line in text.splitlines()]
    assert "1 heft 2.10 ms 2.31 ms 2.73 ms ×2.00 +5.0 % 0 B" in comparisons
    assert "a onnxruntime-default 4.20 ms 4.62 ms 5.46 ms ×1.00 – 0 B" in comparisons  # noqa: RUF001
    assert "2 cpu-all (3.00 ms) – – (×1.40) – 0 B" in comparisons  # noqa: RUF001
    assert "split-directions(node=3)" in text


def test_the_terminal_schedule_reads_without_colour():
    lines = shown(two_lanes()).splitlines()
    lanes = {line.split()[0]: line for line in lines if line.startswith("cpu/")}
    assert " 0 ·" in lanes["cpu/0"]
    assert " 0 ·" in lanes["cpu/1"]
    assert " 1 ·" in lanes["cpu/0"]
    assert " 2 · 3 nodes · 1.50 ms " in lanes["cpu/1"]
    assert lanes["cpu/0"].endswith("50 %")
    assert lanes["cpu/1"].endswith("100 %")
    assert any("idle 1.00 ms in all (25 % of 2 lanes)" in line for line in lines)
    assert "\x1b" not in "".join(lines)


def test_the_terminal_sums_up_many_stages():
    text = shown(crowded())
    assert "The 16 longest of 1,500 stages" in text
    assert len(text.splitlines()) < 60
    assert re.search(r"^cpu/7 [░▒▓█┃┣┫━ 0-9·]+ +\d+ %$", text, re.MULTILINE)


def test_colour_marks_devices_where_there_is_colour():
    out = io.StringIO()
    show(with_gpu(), Console(width=80, file=out, force_terminal=True, color_system="standard", no_color=False))
    assert "\x1b[" in out.getvalue()


@pytest.mark.parametrize(
    ("slo", "plan", "why"),
    [
        (None, "plan-400", ""),
        (SLO(latency=Duration("5ms")), "plan-120", "least GPU memory"),
        (SLO(gpu_memory=Quantity("400Mi")), "plan-40", "fastest plan within 400Mi"),
        (SLO(gpu_memory=Quantity("1Mi")), "plan-400", "cannot be kept"),
    ],
)
def test_the_plan_shown_in_full_is_the_one_the_objective_asks_for(slo, plan, why):
    text = shown(with_gpu(), slo=slo)
    first = text[: text.index("input [1, 50, 161]")]
    assert re.search(rf"^Plan \d: {plan}$", first, re.MULTILINE)
    assert why in " ".join(first.split())


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(sample):
    text = standalone_page(sample(), "A <title> & more")
    page = Page(text)
    assert text.startswith("<!doctype html>")
    assert not re.search(r"https?://|@import|url\(", text)
    for tag, attributes in page.seen:
        assert tag not in ("script", "link", "img", "iframe", "object")
        assert not {"src", "href"} & set(attributes)
    ids = [attributes["id"] for _, attributes in page.seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "A <title> & more" in page.text
    for picture in pictures(text):
        named = picture.attrib["aria-labelledby"].split()
        assert picture.attrib["role"] == "img"
        assert set(named) <= {element.get("id") for element in picture}
        left, top, width, height = map(float, picture.attrib["viewBox"].split())
        assert (left, top) == (0, 0)
        for block in picture.iter("rect"):
            assert 0 <= float(block.attrib["x"]) <= float(block.attrib["x"]) + float(block.attrib["width"]) <= width + 1
            assert 0 <= float(block.attrib["y"]) <= float(block.attrib["y"]) + float(block.attrib["height"]) <= height


@pytest.mark.parametrize("sample", [two_lanes, with_gpu, crowded])
def test_every_stage_is_in_the_picture_and_in_the_table(sample):
    plan_file = sample()
    text = standalone_page(plan_file, "x")
    charts = [picture for picture in pictures(text) if picture.get("class") == "gantt"]
    plans = [plan for bucket in plan_file.buckets for plan in bucket.plans]
    assert len(charts) == len(plans)
    for chart, plan in zip(charts, plans, strict=True):
        drawn = {element.attrib["data-stage"] for element in chart.iter("g") if "data-stage" in element.attrib}
        assert drawn == {str(index) for index in range(len(plan.stages))}
    listed = text.count('<tr><th scope="row" class="text">')
    assert listed >= sum(len(plan.stages) for plan in plans)


def test_a_stage_is_drawn_across_the_lanes_it_holds():
    heights: dict[str, list[float]] = {}
    charts = [picture for picture in pictures(standalone_page(two_lanes(), "x")) if picture.get("class") == "gantt"]
    for block in charts[0].iter("g"):
        if "data-stage" in block.attrib:
            heights.setdefault(block.attrib["data-stage"], []).extend(
                float(rect.attrib["height"]) for rect in block.iter("rect")
            )
    assert heights["0"][0] > 2 * heights["1"][0]
    apart = standalone_page(PlanFile(model="00" * 32, devices={}, buckets=(with_lanes_apart(),)), "x")
    assert apart.count('data-stage="0"') == 2


def with_lanes_apart() -> Frontier:
    stages = (stage((0,), ("cpu/0", "cpu/2"), 0, 1), stage((1,), ("cpu/1",), 0, 1))
    return Frontier(inputs={}, plans=(Plan(name="a", graph="", stages=stages, predicted_seconds=1e-3),))


def test_the_page_shows_what_a_reader_asks():
    text = Page(standalone_page(with_gpu(), "x")).text
    for expected in ("Truncated", "Some GPU 100", "570.86", "1.31.1", "9f" * 32, "400 MiB", "300 MiB", "712 MiB"):
        assert expected in text
    assert "×1.14" in text
    assert "+5.0 %" in text
    assert "predicted only" in text
    assert "x [1, 9], state scalar" in text
    assert "split-directions(node=3)" in text
    assert "0-2" in text
    assert "4-5, 9" in text


def test_names_are_text_never_markup():
    text = standalone_page(nasty(), NASTY)
    page = Page(text)
    assert "<script" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert '<script>alert("x")</script> & [red]名前[/red]' in page.text
    assert "[red]名前[/red]" in shown(nasty(), 200)


def test_same_file_same_page():
    assert standalone_page(with_gpu(), "x") == standalone_page(PlanFile.from_json(with_gpu().to_json()), "x")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 µs"),
        (4.5e-7, "0.45 µs"),
        (9.996e-6, "10.0 µs"),
        (843e-6, "843 µs"),
        (0.99996e-3, "1.00 ms"),
        (1.234e-3, "1.23 ms"),
        (0.0999, "99.9 ms"),
        (0.9999, "1.00 s"),
        (1234.5, "1,234 s"),
    ],
)
def test_seconds(value, text):
    assert write.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1023, "1.00 KiB"),
        (12.3 * MIB, "12.3 MiB"),
        (1023 * MIB, "1.00 GiB"),
        (5 * 2**50, "5,120 TiB"),
    ],
)
def test_bytes(value, text):
    assert write.size(int(value)) == text


def test_lanes_are_drawn_together():
    assert write.lanes(["cpu/10", "cpu/2", "cpu/9", "cuda:0/0"]) == "cpu/2, cpu/9–10, cuda:0/0"  # noqa: RUF001
    assert write.lanes(["odd", "cpu/x"]) == "cpu/x, odd"


@pytest.mark.parametrize("high", [1e-9, 3.7e-6, 1.21e-3, 0.02, 7.0, 4000.0])
@pytest.mark.parametrize("most", [2, 5, 10])
def test_ticks_are_round_few_and_inside(high, most):
    axis = time_axis(0.0, high, most)
    assert 1 <= len(axis.ticks) <= most + 2
    assert all(0 <= value <= high * 1.0001 for value, _ in axis.ticks)
    assert len({text for _, text in axis.ticks}) == len(axis.ticks)
    assert axis.ticks[0] == (0.0, "0")
    marks, labels = ruler(axis, 40)
    assert len(marks) == 40
    assert axis.unit in labels
    assert len(labels) <= 40


def test_bytes_have_binary_ticks():
    assert [text for _, text in bytes_axis(839 * MIB, 5).ticks] == ["0", "200", "400", "600", "800"]
    assert bytes_axis(0, 5).unit == "KiB"
    assert bytes_axis(1.5 * 2**30, 4).unit == "GiB"


def test_the_stairs_leave_out_beaten_plans():
    plans = with_gpu().buckets[0].plans
    beaten = plans[1].model_copy(update={"measured": latency(9)})
    frontier = Frontier(inputs={}, plans=(plans[0], beaten, plans[2]))
    stairs = BucketReport(frontier).stairs
    assert [nbytes for _, nbytes in stairs] == [
        plans[0].gpu_bytes.total,
        plans[2].gpu_bytes.total,
    ]


def test_a_frontier_without_baselines_has_no_speed_up():
    (entry,) = BucketReport(untimed().buckets[0]).rows
    assert entry.speedup is None
    assert entry.off is None


def test_lanes_that_overlap_are_not_busy_twice():
    stages = (stage((0,), ("cpu/0",), 0, 2), stage((1,), ("cpu/0",), 1, 3), stage((2,), ("cpu/1",), 0, 4))
    timeline = Timeline(Plan(name="a", graph="", stages=stages, predicted_seconds=4e-3))
    assert [use.busy for use in timeline.uses] == pytest.approx([3e-3, 4e-3])
    assert timeline.idle == pytest.approx(1e-3)
