"""ONNX Runtime reports nothing about those who use Chrion, unless they want it to."""

import os
import subprocess
import sys

import pytest

CODE = "import {}, onnxruntime, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"


@pytest.mark.parametrize(
    "module",
    [
        "chrion_graph.ort",
        "chrion_runtime.engines.onnxruntime.engine",
        "chrion_planner.profiling.nodes",
        "chrion.cache",
        "chrion.main",
    ],
)
@pytest.mark.parametrize("wish", [None, "0"])
def test_telemetry_is_off_by_default(module, wish, tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    if wish is not None:
        environment["ORT_DISABLE_TELEMETRY"] = wish
    command = [sys.executable, "-c", CODE.format(module)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == (wish or "1") + "\n"
    if wish is None:
        assert list(tmp_path.iterdir()) == [], "not even the file of its session"
