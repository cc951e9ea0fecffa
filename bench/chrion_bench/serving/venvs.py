"""Other servers live in environments of their own under .cache, made when they are first wanted."""

import subprocess
import sys
from pathlib import Path

import onnxruntime as ort

from chrion_bench.serving.process import ServerFailed

ROOT = Path(__file__).resolve().parents[3] / ".cache" / "serving"

PACKAGES = {"mlserver": "mlserver==1.7.1", "kserve": "kserve==0.21.0"}
"""What is compared with, at the version that figures are given for."""


def python_of(server: str) -> Path:
    """The Python that has this server and the same ONNX Runtime. Raises ServerFailed where it cannot be had."""
    folder = ROOT / f"{PACKAGES[server].replace('==', '-')}-ort-{ort.__version__}"
    python, stamp = folder / "bin" / "python", folder / ".installed"
    if not stamp.exists():
        packages = (PACKAGES[server], f"onnxruntime=={ort.__version__}")
        commands: tuple[list[str | Path], ...] = (
            [sys.executable, "-m", "venv", "--clear", folder],
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
        )
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                why = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
                raise ServerFailed(f"{PACKAGES[server]} cannot be installed: {why}")
        stamp.touch()
    return python
