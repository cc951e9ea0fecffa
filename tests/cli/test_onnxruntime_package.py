"""Exactly one package that provides ONNX Runtime must be installed."""

import os
import subprocess
import sys
from pathlib import Path


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
