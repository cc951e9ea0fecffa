"""Three times as many requests as a server can answer: who is accepted, and who is refused how soon."""

import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from chrion_bench.serving.client import Job
from chrion_bench.serving.contenders import chrion
from chrion_bench.serving.models import SLOW
from chrion_bench.serving.own_time import own_times
from chrion_bench.serving.process import Data, begun, check, counts, once, quietest, running
from chrion_bench.serving.throughput import CLIENT_CORES, CLIENTS, SERVER_CORES, prepared, wanted

SLO_SECONDS = 0.05
TIMES = 3
CALM = 0.5
"""The part of what it can answer that is sent before and afterwards."""


def overload(folder: Path, seconds: float, say: Callable[[str], None]) -> Data:
    """A stretch at ease, one at three times the capacity, a second to recover, and one at ease again."""
    own = own_times(SLOW.name, str(folder / f"{SLOW.name}.onnx"), *SERVER_CORES)
    with running(chrion(f"slo={SLO_SECONDS * 1e3:g}ms"), [SLOW], folder, SERVER_CORES) as server:
        path, content = prepared(SLOW, "binary", folder)
        check(server, SLOW, content, wanted(SLOW, folder))
        (full,) = once(Job(server.port, (path,), seconds, connections=CLIENTS // 2), CLIENT_CORES)
        capacity = full["answers"]["200"]["count"] / full["seconds"]
        marks = (seconds, 3 * seconds, 3 * seconds + 1)
        rates = (TIMES * capacity, CALM * capacity, CALM * capacity)
        job = Job(
            server.port,
            (path,),
            4 * seconds + 1,
            CALM * capacity,
            True,
            256,
            marks=marks,
            rates=rates,
            within=SLO_SECONDS,
        )
        before = server.memory
        peaks = []

        def storms() -> list[Data]:
            peak = server.memory
            with begun(job, CLIENT_CORES) as process:
                while process.poll() is None:
                    peak = max(peak, server.memory)
                    with suppress(subprocess.TimeoutExpired):
                        out, error = process.communicate(timeout=0.05)
            peaks.append(peak)
            return counts(process, out, error)

        calm, storm, recovering, after = quietest(server, storms)
        peak = max(peaks)
    entry: Data = {
        "own": own,
        "capacity": capacity,
        "sloSeconds": SLO_SECONDS,
        "others": calm["others"],
        "calm": calm,
        "storm": storm,
        "recovering": recovering,
        "after": after,
        "memoryBefore": before,
        "memoryPeak": peak,
    }
    accepted, refused = storm["answers"].get("200"), storm["answers"].get("503")
    say(
        f"overload ×{TIMES} of {capacity:,.0f}/s: accepted {accepted['count']}, p99 {accepted['p99'] * 1e3:.1f} ms; "
        f"refused {refused['count'] if refused else 0}, p99 {refused['p99'] * 1e3 if refused else 0:.1f} ms; "
        f"memory +{(peak - before) / 2**20:.0f} MiB; afterwards p99 {after['answers']['200']['p99'] * 1e3:.1f} ms"
    )
    return entry
