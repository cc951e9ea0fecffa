"""The report in a terminal: what a person reads, at every width, without colour."""

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from chrion_api import SLO, PlanFile, Quantity
from chrion_api.units import Duration
from chrion_runtime.report.text.terminal import show
from tests.support.plan_files import SAMPLES, crowded, nasty, two_lanes, with_gpu


def shown(plan_file: PlanFile, width: int = 80, slo: SLO | None = None) -> str:
    out = io.StringIO()
    show(plan_file, Console(width=width, file=out), slo=slo)
    return out.getvalue()


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
        (SLO(gpu_memory=Quantity("1Mi")), "plan-400", "cannot be met"),
    ],
)
def test_the_plan_shown_in_full_is_the_one_the_objective_asks_for(slo, plan, why):
    text = shown(with_gpu(), slo=slo)
    first = text[: text.index("input [1, 50, 161]")]
    assert re.search(rf"^Plan \d: {plan}$", first, re.MULTILINE)
    assert why in " ".join(first.split())


def test_names_are_text_in_the_terminal_too():
    assert "[red]名前[/red]" in shown(nasty(), 200)
