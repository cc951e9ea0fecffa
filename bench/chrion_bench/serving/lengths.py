"""Mixed lengths: shapes drawn over and between the buckets, at half of what the server can answer, within an SLO.

The bare server is asked the same at the same rate, as a control.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from chrion_bench.serving.client import Job
from chrion_bench.serving.contenders import bare, chrion
from chrion_bench.serving.models import LENGTHS, SEED, request
from chrion_bench.serving.process import Data, Server, load, once, running
from chrion_bench.serving.throughput import CLIENT_CORES, CLIENTS, SERVER_CORES

SLO_SECONDS = 0.05
COUNT = 60
"""Different requests."""


def lengths(folder: Path, seconds: float, say: Callable[[str], None]) -> Data:
    """The latency of all, and how many were not answered."""
    drawn = random.Random(SEED)
    (shortest, *_), (longest, *_) = LENGTHS.buckets[0], LENGTHS.buckets[-1]
    files = []
    for number in range(COUNT):
        steps = drawn.randint(shortest // 2, longest)
        path = folder / f"lengths.{number}.http"
        path.write_bytes(request(LENGTHS, number % 2 == 0, LENGTHS.feeds((steps, 1, LENGTHS.shape[2]))))
        files.append(str(path))
    with running(chrion(f"slo={SLO_SECONDS * 1e3:g}ms"), [LENGTHS], folder, SERVER_CORES) as server:
        (full,) = once(Job(server.port, tuple(files), seconds, connections=CLIENTS), CLIENT_CORES)
        rate = full["answers"]["200"]["count"] / full["seconds"] / 2
        count = _asked(server, files, seconds, rate)
    with running(bare("uvloop"), [LENGTHS], folder, SERVER_CORES) as server:
        control = _asked(server, files, seconds, rate)
    answered = count["answers"]["200"]
    failed = count["sent"] - answered["count"]
    say(
        f"mixed lengths at {rate:,.0f}/s: p99 {answered['p99'] * 1e3:.1f} ms, "
        f"{failed} of {count['sent']} not answered; "
        f"bare aiohttp on uvloop {control['answers']['200']['p99'] * 1e3:.1f} ms"
    )
    return {
        "rate": rate,
        "sloSeconds": SLO_SECONDS,
        "sent": count["sent"],
        "answered": answered,
        "control": control["answers"]["200"],
        "failed": failed,
        "others": count["others"],
        "errors": count["errors"],
    }


def _asked(server: Server, files: Sequence[str], seconds: float, rate: float) -> Data:
    job = Job(server.port, tuple(files), seconds, rate, poisson=True, connections=64)
    (count,) = load(server, job, CLIENT_CORES)
    return count
