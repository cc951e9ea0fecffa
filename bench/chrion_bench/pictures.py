"""The pictures of the server's page in docs/: `python -m chrion_bench.pictures` (needs Chromium and chromedriver).

A real server of a generated model, under load, in a real browser. So that the frontier has two ends on a machine with
no GPU, plans are made by a profile in which an emulated accelerator is ten times as fast as it was measured.
"""

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import tritonclient.http as triton

from chrion_graph.files import write_aside
from chrion_models.families.stack import stack
from tests.support.browser import browser

CHRION = Path(sys.executable).with_name("chrion")
DOCS = Path(__file__).parents[2] / "docs" / "pictures"
SHAPE = (64, 1, 128)
WATCHED = 40.0
"""Seconds under load before something is done."""


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, str]]:
    """A server of the model by plans with an accelerator; the addresses of its two ports.

    Its objective is in `folder / "slo.yaml"`.
    """
    model, profile, plan = folder / "gru.onnx", folder / "profile.json", folder / "plan.json"
    onnx.save(stack("GRU", "bidirectional", 2, 128, SHAPE[0], SHAPE[1]).build(), model)
    shape = f"input={'x'.join(map(str, SHAPE))}"
    devices = ("--devices", "cpu,emulated:0")
    subprocess.run([CHRION, "profile", model, "--input", shape, *devices, "-o", profile], check=True)
    costs = json.loads(profile.read_text())
    (accelerator,) = (device for device in costs["devices"] if device["name"] == "emulated:0")
    for cost in (*accelerator["wholes"], *filter(None, accelerator["nodes"].values())):
        cost["seconds"] /= 10
    profile.write_text(json.dumps(costs))
    subprocess.run([CHRION, "plan", model, "--input", shape, "--profile", profile, "-o", plan, "--quiet"], check=True)
    write_aside(folder / "slo.yaml", "{mode: Latency, latency: 40ms, gpuMemory: 16Mi}")
    ports, objective = ("--port", "0", "--metrics-port", "0"), ("--slo", folder / "slo.yaml")
    command: list[str | Path] = [CHRION, "serve", model, "--plan", plan, *objective, *ports]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield _addresses(process)
        finally:
            process.terminate()


def _addresses(process: "subprocess.Popen[str]") -> tuple[str, str]:
    assert process.stdout is not None
    inference = ""
    for line in process.stdout:
        if "serving on http://" in line:
            inference = line.split("http://")[1].split("/")[0]
        if "page on http://" in line:
            return inference, line.split("http://")[1].split("/")[0]
    sys.exit("the server ended before it served")


@contextmanager
def load(address: str, seconds_between: float = 0.02) -> Iterator[None]:
    """Requests, one after the other, until the end of the block; one in fifty is refused."""
    stop = threading.Event()

    def ask() -> None:
        random = np.random.default_rng(0)
        with triton.InferenceServerClient(address) as client:
            number = 0
            while not stop.wait(seconds_between):
                tensor = triton.InferInput("input", list(SHAPE), "FP32")
                tensor.set_data_from_numpy(random.standard_normal(SHAPE, np.float32))
                client.infer("gru", [tensor])
                number += 1
                if number % 50 == 0:
                    client._post("v2/models/gru/infer", b"{}", {}, None)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        stop.set()
        asking.join()


def main() -> None:
    """Write the pictures."""
    DOCS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as (inference, page), load(inference):
        threading.Event().wait(WATCHED)
        write_aside(Path(folder) / "slo.yaml", "{mode: Latency, latency: 40ms, gpuMemory: 1500Ki}")
        for name, dark in (("page-light", False), ("page-dark", True)):
            with browser(dark=dark) as chrome:
                chrome.get(f"http://{page}/")
                threading.Event().wait(WATCHED)
                chrome.save_screenshot(DOCS / f"{name}.png")
                print(DOCS / f"{name}.png")


if __name__ == "__main__":
    main()
