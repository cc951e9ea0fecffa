"""Latency at half load: an open loop at half the requests a second that the server can answer."""

from collections.abc import Callable
from pathlib import Path

from chrion_bench.serving.client import Job
from chrion_bench.serving.contenders import chrion
from chrion_bench.serving.own_time import own_seconds
from chrion_bench.serving.process import Data, check, load, running
from chrion_bench.serving.throughput import CLIENT_CORES, CLIENTS, FORMATS, MODELS, SERVER_CORES, prepared, wanted


def latency(folder: Path, seconds: float, say: Callable[[str], None]) -> list[Data]:
    """For each model and format: p99 over the model's own time, with requests at even times and at random ones."""
    found = []
    with running(chrion(), MODELS, folder, SERVER_CORES) as server:
        for model in MODELS:
            own = own_seconds(model.name, str(folder / f"{model.name}.onnx"), *SERVER_CORES)
            for kind in FORMATS:
                path, content = prepared(model, kind, folder)
                check(server, model, content, wanted(model, folder))
                (full,) = load(Job(server.port, (path,), seconds, connections=CLIENTS), CLIENT_CORES)
                rate = full["answers"]["200"]["count"] / full["seconds"] / 2
                entry: Data = {"model": model.name, "format": kind, "ownSeconds": own, "rate": rate}
                for arrivals in ("even", "poisson"):
                    job = Job(server.port, (path,), seconds, rate, arrivals == "poisson", connections=64)
                    (count,) = load(job, CLIENT_CORES)
                    entry[arrivals] = count["answers"]["200"]
                    entry[f"{arrivals}Failed"] = count["sent"] - count["answers"]["200"]["count"]
                found.append(entry)
                over = (entry["even"]["p99"] - own) * 1e3
                say(
                    f"half load, {model.name} {kind}: {rate:,.0f}/s, p99 {over:.2f} ms over the model's {own * 1e3:.2f}"
                )
    return found
