"""The GPU bench's own script on a real GPU, in its quick form."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chrion_bench.gpu.aims import LATENCY, REWRITTEN_GPU
from chrion_bench.gpu.packing.__main__ import ROOT
from chrion_bench.gpu.sessions import BOUND, GRAPH, ORIGINAL

MODEL = "lstm-bidirectional-l2-h256-s128-b1"


@pytest.mark.gpu
@pytest.mark.timeout(400)
def test_one_model_is_measured_on_the_gpu(cuda: Any, tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "bench/gpu/run", "--only", MODEL, "--minutes", "2", "--output", tmp_path],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHON": sys.executable},
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    (path,) = tmp_path.glob("gpu-*.json")
    report = json.loads(path.read_text())
    assert report["gpu"]["device"] == "cuda:0"
    (item,) = report["results"]
    for name in (ORIGINAL, BOUND, GRAPH, REWRITTEN_GPU, LATENCY):
        assert item["contenders"][name].get("gain"), item["contenders"][name]
    assert item["plans"][REWRITTEN_GPU]["gpuWork"] == 1.0
