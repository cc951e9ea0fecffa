"""Lanes beside a busy server: a plan of eight hops while the server parses large JSON, with and without the codec."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import sleep

from chrion_bench.serving.client import Job
from chrion_bench.serving.contenders import chrion
from chrion_bench.serving.models import HOPS, TOTAL
from chrion_bench.serving.process import Data, begun, check, load, once, quietest, running
from chrion_bench.serving.throughput import prepared, wanted

CORES = {0, 1}
"""Two lanes want both."""
RATE = 50.0
"""Requests a second for the plan with hops."""
LARGE_RATE = 10.0
"""Bodies a second of a megabyte and more; a core is busy with them for a tenth of the time."""
WAYS = {"in another process": (), "on the event loop": ("codec_processes=0",)}


def hops(folder: Path, seconds: float, say: Callable[[str], None]) -> list[Data]:
    """For each way to parse: the plan's latency alone, and beside the large bodies."""
    found = []
    for way, options in WAYS.items():
        with running(chrion(*options), (HOPS, TOTAL), folder, CORES) as server:
            small, content = prepared(HOPS, "binary", folder)
            check(server, HOPS, content, wanted(HOPS, folder))
            large, body = prepared(TOTAL, "json", folder)
            server.post(body)
            job = Job(server.port, (small,), seconds, RATE)
            (alone,) = load(server, job, CORES)
            (beside,) = quietest(server, partial(_beside, job, Job(server.port, (large,), seconds + 3, LARGE_RATE)))
        entry: Data = {
            "way": way,
            "bodyBytes": len(body),
            "alone": alone["answers"]["200"],
            "beside": beside["answers"]["200"],
        }
        entry["others"] = max(alone["others"], beside["others"])
        entry["ratio"] = entry["beside"]["p99"] / entry["alone"]["p99"]
        found.append(entry)
        say(
            f"8 hops, JSON parsed {way}: p99 {entry['alone']['p99'] * 1e3:.2f} ms alone, "
            f"{entry['beside']['p99'] * 1e3:.2f} ms beside bodies of {len(body) / 1e6:.1f} MB, ×{entry['ratio']:.2f}"
        )
    return found


def _beside(job: Job, large: Job) -> list[Data]:
    with begun(large, CORES):
        sleep(1)
        return once(job, CORES)
