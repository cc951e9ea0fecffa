"""A runaway request to one model: what it costs those of another, and how soon after its deadline that is over.

The other model is asked at a fifth of what it can answer, so that what is measured is no queue. Four kinds of stretch
take turns: *quiet*; *runaway*, with a request that would go on for ever, sent again as its deadline ends it; *control*,
with a process that loops beside the server; and one request that runs away alone, to see what comes after it.

Server, runaway and control are on one core and the load generator on the other, as in the other tables. The generator
keeps its core busy, so a second core for the server would be one in name only; and a runaway with a core to itself
would cost nobody anything, and prove nothing. Here all share one. What a second busy thread costs any server there is
the kernel's doing, not the runaway's, which is what the control is for: the same load on the same core, of which Chrion
knows nothing. It belongs to the server's session, so that the kernel shares the core out as it does among the server's
own threads (sched(7), "The autogroup feature").
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter, sleep

import numpy as np

from chrion_bench.serving import process
from chrion_bench.serving.client import Job
from chrion_bench.serving.contenders import chrion
from chrion_bench.serving.models import FOR_EVER, MID, ROUNDS, request
from chrion_bench.serving.process import (
    LOAD_SECONDS,
    Data,
    Server,
    ServerFailed,
    begun,
    check,
    counts,
    once,
    quietest,
    running,
)
from chrion_bench.serving.throughput import CLIENT_CORES, CLIENTS, SERVER_CORES, prepared, wanted

PART = 0.2
"""Of what the model can answer, what it is asked."""
DEADLINE_SECONDS = 3.0
WAYS = {"one process": (), "a process each": ("isolate=model",)}
SLOW = 2.0
"""Answers that take so many times the quiet p99 are slow."""
BEGIN_SECONDS = 0.5
"""What the company of a stretch may take to begin."""
WARM_SECONDS = 1.0
"""What the other model is asked before a request runs away, once its load generator has started."""
AFTER_SECONDS = 3.0
"""How long slow answers are looked for after the deadline."""


def runaway(folder: Path, seconds: float, say: Callable[[str], None]) -> list[Data]:
    """For both models in one process, and each in its own: the other model's latency in each kind of stretch."""
    return [_way(name, options, folder, seconds, say) for name, options in WAYS.items()]


def _way(name: str, options: tuple[str, ...], folder: Path, seconds: float, say: Callable[[str], None]) -> Data:
    noted = folder / "busy.pid"
    deadline = min(DEADLINE_SECONDS, seconds)
    endless = _endless(folder, deadline)
    with ExitStack() as stack:
        program = chrion(*options, f"beside={noted}")
        server = stack.enter_context(running(program, (MID, ROUNDS), folder, SERVER_CORES))
        busy = int(noted.read_text(encoding="ascii"))
        stack.callback(os.kill, busy, signal.SIGKILL)
        small, content = prepared(MID, "binary", folder)
        check(server, MID, content, wanted(MID, folder))
        (full,) = once(Job(server.port, (small,), seconds, connections=CLIENTS), CLIENT_CORES)
        rate = full["answers"]["200"]["count"] / full["seconds"] * PART
        job = Job(server.port, (small,), seconds, rate)
        load = Job(server.port, (str(endless),), 3600.0, connections=1)
        beside: dict[str, Callable[[], AbstractContextManager[object]]] = {
            "quiet": nullcontext,
            "runaway": lambda: begun(load, CLIENT_CORES),
            "control": lambda: _busy(busy),
        }
        found: dict[str, list[Data]] = {kind: [] for kind in beside}
        backs: list[float] = []
        for _ in range(process.most_times):
            for kind, company in beside.items():
                found[kind] += quietest(server, partial(_stretch, company, job), times=1)
            quiet = min(map(_p99, found["quiet"]))
            backs.append(_back(server, job, endless.read_bytes(), deadline, SLOW * quiet))
        check(server, MID, content, wanted(MID, folder))
    entry: Data = {"way": name, "rate": rate, "deadlineSeconds": deadline, "backSeconds": min(backs), "backs": backs}
    for kind, stretches in found.items():
        best = min(stretches, key=_p99)
        entry[kind] = {**best["answers"]["200"], "p99s": sorted(map(_p99, stretches)), "others": best["others"]}
        entry[kind]["failed"] = sum(one["sent"] - one["answers"]["200"]["count"] for one in stretches)
    entry["rise"] = entry["runaway"]["p99"] / entry["quiet"]["p99"] - 1
    entry["overControl"] = entry["runaway"]["p99"] / entry["control"]["p99"] - 1
    say(
        f"a runaway, {name}: p99 of the other model {entry['quiet']['p99'] * 1e3:.2f} ms, beside it "
        f"{entry['runaway']['p99'] * 1e3:.2f} ms ({entry['rise']:+.0%}), beside a busy process "
        f"{entry['control']['p99'] * 1e3:.2f} ms ({entry['overControl']:+.0%} over that); back "
        f"{entry['backSeconds']:.2f} s after the deadline"
    )
    return entry


def _endless(folder: Path, deadline: float) -> Path:
    feeds = {ROUNDS.input: np.full(ROUNDS.shape, FOR_EVER, np.float32)}
    path = folder / "endless.http"
    path.write_bytes(request(ROUNDS, True, feeds, {"X-Request-Timeout-Ms": f"{deadline * 1e3:.0f}"}))
    return path


def _stretch(company: Callable[[], AbstractContextManager[object]], job: Job) -> list[Data]:
    with company():
        sleep(BEGIN_SECONDS)
        return once(job, CLIENT_CORES)


@contextmanager
def _busy(pid: int) -> Iterator[None]:
    """The process beside the server is busy."""
    os.kill(pid, signal.SIGCONT)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGSTOP)


def _p99(count: Data) -> float:
    return float(count["answers"]["200"]["p99"])


def _back(server: Server, job: Job, endless: bytes, deadline: float, slow: float) -> float:
    """Seconds from a runaway's deadline to the last slow answer; 0 where none was slow any more."""
    whole = replace(job, seconds=WARM_SECONDS + deadline + AFTER_SECONDS, slow=slow)
    with begun(whole, CLIENT_CORES) as generator:
        sleep(WARM_SECONDS)
        due = perf_counter() + deadline
        status, body, _ = server.post(endless)
        if status != 504:
            raise ServerFailed(f"answers a request that runs away with {status}: {body[:200].decode(errors='replace')}")
        out, error = generator.communicate(timeout=LOAD_SECONDS)
    (count,) = counts(generator, out, error)
    return max(0.0, max(count["slowAt"], default=0.0) - due)
