"""Latency at half load: an open loop at half the requests a second that Chrion can answer; the bare server as control.

What the bare server is late by at the same rate is the machine's doing, or aiohttp's.
"""

from collections.abc import Callable
from pathlib import Path

from chrion_bench.serving.client import Job
from chrion_bench.serving.contenders import bare, chrion
from chrion_bench.serving.own_time import own_times
from chrion_bench.serving.process import Data, Server, check, load, once, running
from chrion_bench.serving.throughput import CLIENT_CORES, CLIENTS, FORMATS, MODELS, SERVER_CORES, prepared, wanted

CONNECTIONS = 64
EVEN, RANDOM = "even", "random"


def latency(folder: Path, seconds: float, say: Callable[[str], None]) -> list[Data]:
    """For each model and format: p99 over the model's own time, with requests at even times and at random ones."""
    found: list[Data] = []
    with running(chrion(), MODELS, folder, SERVER_CORES) as server:
        for model in MODELS:
            own = own_times(model.name, str(folder / f"{model.name}.onnx"), *SERVER_CORES)
            for kind in FORMATS:
                path, content = prepared(model, kind, folder)
                check(server, model, content, wanted(model, folder))
                (full,) = once(Job(server.port, (path,), seconds, connections=CLIENTS), CLIENT_CORES)
                rate = full["answers"]["200"]["count"] / full["seconds"] / 2
                entry: Data = {"model": model.name, "format": kind, "path": path, "own": own, "rate": rate}
                for arrivals in (EVEN, RANDOM):
                    entry[arrivals] = _half(server, entry, seconds, arrivals)
                found.append(entry)
    with running(bare("uvloop"), MODELS, folder, SERVER_CORES) as server:
        for entry in found:
            entry["control"] = _half(server, entry, seconds, EVEN)
            del entry["path"]
            over, control = ((entry[name]["p99"] - entry["own"]["median"]) * 1e3 for name in (EVEN, "control"))
            say(
                f"half load, {entry['model']} {entry['format']}: {entry['rate']:,.0f}/s, p99 {over:.2f} ms over the "
                f"model's {entry['own']['median'] * 1e3:.2f}; bare aiohttp on uvloop {control:.2f} ms"
            )
    return found


def _half(server: Server, entry: Data, seconds: float, arrivals: str) -> Data:
    job = Job(server.port, (entry["path"],), seconds, entry["rate"], arrivals == RANDOM, connections=CONNECTIONS)
    (count,) = load(server, job, CLIENT_CORES)
    spread = count["answers"]["200"]
    return {**spread, "failed": count["sent"] - spread["count"], "others": count["others"], "p99s": count["p99s"]}
