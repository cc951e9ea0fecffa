"""Chrion runs on Linux, with exactly one package that provides ONNX Runtime."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import chrion
from chrion.main import main


def test_both_packages_at_once_are_refused_with_what_to_do(tmp_path: Path):
    metadata = tmp_path / "onnxruntime_gpu-1.31.1.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.31.1\n", encoding="utf-8")
    found = subprocess.run(
        [Path(sys.executable).with_name("chrion"), "--version"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert found.stderr.startswith("chrion: onnxruntime and onnxruntime-gpu are both installed")
    assert "install chrion[cpu] or chrion[gpu]" in found.stderr


@pytest.mark.parametrize(("platform", "name"), [("darwin", "macOS"), ("win32", "Windows"), ("sunos5", "sunos5")])
def test_other_systems_are_refused_with_what_to_do(monkeypatch, capsys, platform, name):
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert f"runs on Linux only, not on {name}: run it in a container" in capsys.readouterr().err
    with pytest.raises(chrion.UsageError, match="Linux only"):
        getattr(chrion, "plan")  # noqa: B009, what a program's first use of it does
