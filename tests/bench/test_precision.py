"""The bench of rounded weights: a short run, and what the page says."""

from typing import Any

import pytest

from chrion_bench.contenders import CONTROL, DEFAULT, INT8
from chrion_bench.precision import __main__ as bench
from chrion_bench.precision.summary import aims, gain, page
from chrion_models.families.stack import stack
from tests.support.kernels import needs_kernels

ABOUT = {"machine": {"cpu": "CPU", "cores": 2, "system": "Linux"}, "versions": {"numpy": "2"}, "commit": "abc"}


def item(model: str, ours: float, theirs: float, off: float = 0.01) -> dict[str, Any]:
    """Gains over the default: of a plan with weights of 8 bits, and of ONNX Runtime with such, which is off by 0.01."""
    gains = {DEFAULT: 1.0, CONTROL: 1.0, INT8: theirs, "plan-float32": 1.5, "plan-float16": 1.6, "plan-int8": ours}
    errors = {INT8: 0.01, "plan-float16": 1e-4, "plan-int8": off}
    found = {
        name: {"p50": 1e-3 / value, "p99": 2e-3 / value, "gain": value, "error": errors.get(name, 0.0)}
        for name, value in gains.items()
    }
    return {"model": model, "contenders": found}


def test_gains_are_over_the_better_of_onnx_runtime_s() -> None:
    assert gain(item("m", 4.0, 2.0), "plan-int8") == pytest.approx(2.0)
    assert gain(item("m", 4.0, 0.5), "plan-int8") == pytest.approx(4.0), "its default is the better one"
    absent = item("m", 4.0, 2.0)
    absent["contenders"][INT8] = {"absent": "it cannot be quantised"}
    assert gain(absent, "plan-int8") == pytest.approx(4.0)


def test_aims_met_and_missed() -> None:
    fast = item("lstm-forward-l1-h512-s128-b1", 4.0, 2.0)
    slow = item("gru-forward-l1-h512-s128-b1", 1.9, 1.0, off=0.02)
    found = {aim.text: aim for aim in aims([fast, slow])}
    assert [(aim.verdict, aim.value) for aim in found.values()] == [
        ("pass", "×2.00"),
        ("not measured", "-"),
        ("miss", "×1.90"),
        ("not measured", "-"),
        ("miss", "1 of 2"),
    ]


def test_page_has_a_table_a_model() -> None:
    text = page({**ABOUT, "date": "2026-01-01", "results": [item("a", 4.0, 2.0)]})
    assert "| plan-int8 | - | 0.250 | 0.500 | ×4.00 | ×2.00 | 0.01 | - |" in text


@needs_kernels
def test_a_short_run() -> None:
    found = bench._one(stack("LSTM", "forward", 1, 16, 8, 1), bench.QUICK_EFFORT)["contenders"]
    assert list(found) == [DEFAULT, CONTROL, INT8, "plan-float32", "plan-float16", "plan-int8"]
    assert all(one["p50"] > 0 for one in found.values())
    assert found[CONTROL]["error"] == 0
    assert found["plan-float32"]["stated"] is None
