"""The GPU bench's report: what failed stands first, and nothing that is absent goes unnamed."""

from pathlib import Path
from typing import Any

import pytest

from chrion_bench.gpu.page import page
from chrion_bench.gpu.plots import plot
from chrion_bench.gpu.sessions import ORIGINAL
from tests.bench.gpu.results import result


def report(*results: dict[str, Any], **changed: Any) -> dict[str, Any]:
    step = {"name": "measure", "seconds": 1.0, "said": "1 done", "failed": {}, "left_out": []}
    gpu = {"device": "cuda:0", "product": "NVIDIA X", "driver": "13000", "contextBytes": 500 << 20, "tf32": False}
    return {
        "machine": {"cpu": "CPU", "cores": 16, "system": "Linux"},
        "versions": {"onnxruntime": "1.31.1"},
        "gpu": {**gpu, "tensorrt": "not installed", "libraries": {"nvidia-cudnn-cu13": "9.1"}},
        "date": "2026-01-01",
        "commit": "abc",
        "suite": 14,
        "seconds": 61.0,
        "steps": [step],
        "results": list(results),
        "warnings": [],
        **changed,
    }


def test_says_what_was_measured_and_what_is_absent() -> None:
    text = page(report(result("gru")))
    assert "**every step was done. 1:01 minutes**" in text
    assert "1 of 14 models" in text
    assert "| gru | onnxruntime-tensorrt | TensorRT is not installed |" in text
    assert "×1.20 in geometric mean" in text
    assert "| pass |" in text
    assert "dry run" not in text


def test_failures_stand_first() -> None:
    failed = {
        "name": "profile",
        "seconds": 2.0,
        "said": "",
        "failed": {"crnn": "it fell | over"},
        "left_out": ["x", "y"],
    }
    lines = page(report(steps=[failed])).splitlines()
    assert lines[2] == "**FAILED: profile: crnn: it fell | over. no time for x, y. 1:01 minutes**"


def test_a_failed_probe_has_a_page() -> None:
    failed = {"name": "probe", "seconds": 2.0, "said": "", "failed": {"probe": "no driver"}, "left_out": []}
    text = page(report(steps=[failed], gpu={"device": "cuda:0"}))
    assert text.startswith("# No GPU with CPU")
    assert "FAILED: probe: probe: no driver" in text


def test_a_dry_run_says_so() -> None:
    assert "**A dry run: no GPU was measured.**" in page(report(gpu={"device": "emulated:0", "product": "emulated"}))


def test_a_model_without_its_baseline_has_a_row() -> None:
    item = result("gru")
    for contender in item["contenders"].values():
        contender.pop("gain", None)
    item["contenders"][ORIGINAL] = {"absent": "out of memory"}
    text = page(report(item))
    assert "| gru | onnxruntime-gpu | out of memory |" in text
    assert "could not be told" in text


def test_plots(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is in the bench extra")
    bare = result("bare")
    bare["contenders"] = {name: {"absent": "no"} for name in bare["contenders"]}
    for path in plot(report(result("a"), bare), tmp_path / "gpu-x"):
        assert "<svg" in path.read_text()
