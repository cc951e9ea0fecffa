"""Requests a second on one server core, with 8 keep-alive clients, against other servers."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import onnxruntime as ort

from chrion_bench.serving.client import Job
from chrion_bench.serving.contenders import JSON_ONLY
from chrion_bench.serving.models import MID, TINY, ServedModel, request, write
from chrion_bench.serving.process import Data, Program, Server, ServerFailed, check, once, quietest, running

SERVER_CORES, CLIENT_CORES = {1}, {0}
MODELS = (TINY, MID)
FORMATS = ("json", "binary")
CLIENTS = 8


def throughput(
    programs: Sequence[Program],
    folder: Path,
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
    keep: Callable[[list[Data]], None],
) -> list[Data]:
    """A result for each contender, model and format; the contenders take turns, round by round.

    `keep` gets what there is after each round, so that a run that is broken off leaves the rounds before.
    """
    found: dict[tuple[str, str, str], Data] = {}
    for _ in range(rounds):
        for program in programs:
            try:
                began = time.monotonic()
                with running(program, MODELS, folder, SERVER_CORES) as server:
                    ready, memory = time.monotonic() - began, server.memory
                    say(f"{program.name}: ready after {ready:.2f} s, {memory / 2**20:.0f} MiB")
                    for model in MODELS:
                        for kind in FORMATS:
                            entry = found.setdefault((program.name, model.name, kind), _begun(program, model, kind))
                            _one(server, model, kind, folder, seconds, entry)
                            say(f"{program.name} {model.name} {kind}: {_said(entry)}")
            except ServerFailed as error:
                for model in MODELS:
                    for kind in FORMATS:
                        found.setdefault((program.name, model.name, kind), _begun(program, model, kind)).setdefault(
                            "absent", str(error)
                        )
                say(str(error))
        keep(list(found.values()))
    return list(found.values())


def wanted(model: ServedModel, folder: Path) -> Any:
    """What ONNX Runtime answers to the model's requests."""
    session = ort.InferenceSession(write(model, folder), providers=["CPUExecutionProvider"])
    return session.run(None, model.feeds())[0]


def prepared(model: ServedModel, kind: str, folder: Path) -> tuple[str, bytes]:
    """The file with the model's request, and the request."""
    content = request(model, kind == "binary", model.feeds())
    path = folder / f"{model.name}.{kind}.http"
    path.write_bytes(content)
    return str(path), content


def _begun(program: Program, model: ServedModel, kind: str) -> Data:
    entry: Data = {"server": program.name, "model": model.name, "format": kind, "rounds": []}
    if kind == "binary" and program.name in JSON_ONLY:
        entry["absent"] = "its HTTP server refuses binary tensors"
    return entry


def _one(server: Server, model: ServedModel, kind: str, folder: Path, seconds: float, entry: Data) -> None:
    if "absent" in entry:
        return
    path, content = prepared(model, kind, folder)
    try:
        check(server, model, content, wanted(model, folder))
    except ServerFailed as error:
        entry["absent"] = str(error)
        return
    # Once: the servers' rounds are compared with each other, and the median of them counts.
    job = Job(server.port, (path,), seconds, connections=CLIENTS)
    (count,) = quietest(server, partial(once, job, CLIENT_CORES), times=1)
    answers = count["answers"]
    if set(answers) != {"200"}:
        entry["absent"] = f"answers with {sorted(answers)}: {count['errors'][:1]}"
        return
    spread = answers["200"]
    entry["rounds"].append(
        {
            "perSecond": spread["count"] / count["seconds"],
            "p50": spread["p50"],
            "p99": spread["p99"],
            # The core's time, also for the requests that were sent to warm up.
            "cpuSeconds": count["serverSeconds"] / (count["warm"] + spread["count"]),
            "others": count["others"],
        }
    )
    entry |= {key: median(one[key] for one in entry["rounds"]) for key in ("perSecond", "p50", "p99", "cpuSeconds")}


def _said(entry: Data) -> str:
    if "absent" in entry:
        return f"absent: {entry['absent']}"
    last = entry["rounds"][-1]
    return (
        f"{last['perSecond']:,.0f} requests/s, p99 {last['p99'] * 1e3:.2f} ms, {last['cpuSeconds'] * 1e6:.0f} µs of "
        f"CPU; others took {last['others']:.1%} of a core"
    )
