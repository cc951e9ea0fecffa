"""The demo: profiles, plans and serves NSNet2 by its ChrionModel file, and sends it a real spectrogram over HTTP.

`make demo` runs it. It ends with exit code 0 only if the answers over HTTP equal ONNX Runtime's.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
import tritonclient.http as triton

from chrion_models.real import fetch
from chrion_models.spectrogram import nsnet2_input

EXAMPLE = Path(__file__).parent / "nsnet2.yaml"
CHRION = Path(sys.executable).with_name("chrion")
FRAMES = (50, 200)
TOLERANCE = 1e-4


def main() -> None:
    model = fetch()["nsnet2.onnx"]
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "plan.json"
        worst = _serve_and_ask(model, plan)
        _chrion("explain", plan)
        _chrion("bench", model, "--plan", plan)
    if worst > TOLERANCE:
        sys.exit(f"the answers over HTTP are NOT equal: they differ by up to {worst:.2g}")
    print(f"the answers over HTTP are equal: they differ from ONNX Runtime's by at most {worst:.2g}")


def _serve_and_ask(model: Path, plan: Path) -> float:
    """Plan and serve the example, ask it, and stop it; the largest difference of an answer."""
    command: list[str | Path] = [CHRION, "run", "-f", EXAMPLE, "-o", plan, "--port", "0", "--metrics-port", "-1"]
    print(f"== chrion run -f {EXAMPLE.name}", flush=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = _url(server)
            return max(_difference(url, model, frames) for frames in FRAMES)
        finally:
            server.terminate()


def _url(server: "subprocess.Popen[str]") -> str:
    """Host and port from the line that says where the server answers."""
    assert server.stdout is not None
    for line in server.stdout:
        print(line, end="", flush=True)
        if "serving on http://" in line:
            return line.split("http://")[1].split("/")[0]
    sys.exit("the server ended before it served")


def _difference(url: str, model: Path, frames: int) -> float:
    """Ask for one spectrogram, as JSON and as binary, and compare with ONNX Runtime's default session."""
    spectrogram = nsnet2_input(frames)
    expected = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"input": spectrogram})[0]
    worst = 0.0
    with triton.InferenceServerClient(url) as client:
        for binary in (False, True):
            tensor = triton.InferInput("input", list(spectrogram.shape), "FP32")
            tensor.set_data_from_numpy(spectrogram, binary_data=binary)
            wanted = triton.InferRequestedOutput("output", binary_data=binary)
            answer = client.infer("nsnet2", [tensor], outputs=[wanted]).as_numpy("output")
            worst = max(worst, float(np.abs(answer - expected).max()))
    return worst


def _chrion(*command: str | Path) -> None:
    print(f"\n== chrion {command[0]}", flush=True)
    subprocess.run([CHRION, *command], check=True)


if __name__ == "__main__":
    main()
