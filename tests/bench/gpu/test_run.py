"""The whole script: on a GPU, and without one, where a dry run goes through every step and a real one to the probe."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chrion_bench.gpu.__main__ import main
from chrion_bench.gpu.aims import LATENCY, REWRITTEN_CPU, REWRITTEN_GPU
from chrion_bench.gpu.packing.__main__ import ROOT
from chrion_bench.gpu.sessions import BOUND, GRAPH, ORIGINAL, PLACED, TENSORRT
from chrion_bench.profiles import recorded
from chrion_runtime.devices import open_devices
from chrion_runtime.errors import DeviceUnavailable

SMALLEST = "gru-bidirectional"
TELLING = "lstm-bidirectional-l2-h256-s128-b1"
STEPS = ["probe", "prepare", "profile", "plan", "measure", "write"]


def run(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """The script's end, and the report that it wrote."""
    command = [ROOT / "bench/gpu/run", "--output", folder, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHON": sys.executable}
    )
    (report,) = folder.glob("gpu-*.json")
    return done, json.loads(report.read_text())


@pytest.mark.slow
def test_dry_run_of_the_smallest_model(tmp_path: Path) -> None:
    done, report = run(tmp_path, "--dry-run", "--only", SMALLEST, "--minutes", "0.4")
    assert done.returncode == 0, done.stdout + done.stderr
    check(report, tmp_path, models=1)
    assert done.stdout.splitlines()[-1].startswith("every step was done.")


@pytest.mark.slow
def test_dry_run(tmp_path: Path, models_dir: Path) -> None:
    done, report = run(tmp_path, "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    check(report, tmp_path, models=1)
    assert len(report["results"]) + len(report["steps"][4]["left_out"]) <= report["suite"] == 3


def check(report: dict[str, Any], folder: Path, models: int) -> None:
    assert [step["name"] for step in report["steps"]] == STEPS
    assert not any(step["failed"] for step in report["steps"])
    assert len(report["results"]) >= models
    for item in report["results"]:
        ran = {name for name, contender in item["contenders"].items() if "gain" in contender}
        assert {ORIGINAL, BOUND, REWRITTEN_GPU, REWRITTEN_CPU, LATENCY} <= ran
        assert any(name.startswith(PLACED) for name in item["contenders"])
        assert "absent" in item["contenders"][GRAPH]
        assert "absent" in item["contenders"][TENSORRT]
        alone = item["plans"][REWRITTEN_GPU]
        assert (alone["devices"], alone["gpuWork"]) == (["emulated:0"], 1.0)
        assert item["contenders"][REWRITTEN_GPU]["gpuBytes"] > 0
    (page,) = folder.glob("gpu-*.md")
    assert "A dry run: no GPU was measured." in page.read_text()
    names = {item["model"] for item in report["results"]}
    profiles = list(recorded(folder / "profiles"))
    assert names <= {one.model for one in profiles}
    assert all({device.name for device in one.profile.devices} == {"cpu", "emulated:0"} for one in profiles)


def why_no_gpu() -> str | None:
    try:
        open_devices(["cuda:0"])
    except DeviceUnavailable as error:
        return str(error)
    return None


@pytest.mark.gpu
@pytest.mark.timeout(400)
def test_one_model_is_measured_on_the_gpu(tmp_path: Path) -> None:
    if why := why_no_gpu():
        pytest.skip(why)
    done, report = run(tmp_path, "--only", TELLING, "--minutes", "2")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert report["gpu"]["device"] == "cuda:0"
    (item,) = report["results"]
    for name in (ORIGINAL, BOUND, GRAPH, REWRITTEN_GPU, LATENCY):
        assert item["contenders"][name].get("gain"), item["contenders"][name]
    assert item["plans"][REWRITTEN_GPU]["gpuWork"] == 1.0


def test_without_a_gpu_the_probe_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    why = why_no_gpu()
    if why is None:
        pytest.skip("there is a GPU")
    monkeypatch.setattr("chrion_bench.machine.memory_bandwidth", lambda threads: 1e10)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")  # for what `main` sets
    assert main(["--output", str(tmp_path)]) == 1
    (path,) = tmp_path.glob("gpu-*.json")
    report = json.loads(path.read_text())
    assert [step["name"] for step in report["steps"]] == ["probe", "write"]
    assert report["steps"][0]["failed"] == {"probe": why}
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"FAILED: probe: probe: {why}")
    (page,) = tmp_path.glob("gpu-*.md")
    assert f"FAILED: probe: probe: {why}" in page.read_text()


def test_an_unknown_option_is_refused() -> None:
    command = [ROOT / "bench/gpu/run", "--oops"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 2
    assert "--oops" in done.stderr
