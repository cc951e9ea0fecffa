"""What a process of its own costs a model's requests: the same model without and with one, in turns.

One client asks over one connection: at a low rate, where each request finds everything asleep, and back to back. The
model's process shares the server's core, as all that a server is made of does in these tables.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

from chrion_bench.serving import process
from chrion_bench.serving.client import Job
from chrion_bench.serving.contenders import chrion
from chrion_bench.serving.models import MID, TINY, ServedModel
from chrion_bench.serving.process import Data, check, once, quietest, running
from chrion_bench.serving.throughput import CLIENT_CORES, SERVER_CORES, prepared, wanted

MODELS = (TINY, MID)
RATE = 100.0
"""Requests a second at the low rate."""
WAYS = {"shared": (), "own": ("isolate=model",)}
LOADS = {"low rate": RATE, "back to back": None}


def isolation(folder: Path, seconds: float, say: Callable[[str], None]) -> list[Data]:
    """For each model and load: the median latency without and with a process of its own, and requests a second."""
    return [entry for model in MODELS for entry in _model(model, folder, seconds, say)]


def _model(model: ServedModel, folder: Path, seconds: float, say: Callable[[str], None]) -> list[Data]:
    path, content = prepared(model, "binary", folder)
    found: list[Data] = [
        {"model": model.name, "load": load, "rate": rate, **{way: [] for way in WAYS}} for load, rate in LOADS.items()
    ]
    with ExitStack() as stack:
        servers = {
            way: stack.enter_context(running(chrion(*options), [model], folder, SERVER_CORES))
            for way, options in WAYS.items()
        }
        for server in servers.values():
            check(server, model, content, wanted(model, folder))
        for _ in range(process.most_times):
            for entry in found:
                for way, server in servers.items():
                    job = Job(server.port, (path,), seconds, entry["rate"], connections=1)
                    (count,) = quietest(server, partial(once, job, CLIENT_CORES), times=1)
                    answers = count["answers"]["200"]
                    entry[way].append({**answers, "perSecond": answers["count"] / count["seconds"]})
    for entry in found:
        # A machine drifts: only what was measured in the same round can be compared.
        rounds = list(zip(entry["shared"], entry["own"], strict=True))
        entry["moreSeconds"] = median(own["p50"] - shared["p50"] for shared, own in rounds)
        entry["ratio"] = median(own["perSecond"] / shared["perSecond"] for shared, own in rounds)
        say(
            f"a process of its own, {model.name} {entry['load']}: {entry['moreSeconds'] * 1e6:+.0f} µs at p50, "
            f"×{entry['ratio']:.2f} requests a second"
        )
    return found
