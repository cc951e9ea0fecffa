"""Serve all kinds of requests for minutes, and see that nothing grows: `python -m chrion_bench.serving.soak`.

Good requests, binary and JSON, small and large; wrong ones; and clients that leave, at once, in the middle of a body or
before their answer. Fails where an answer is not what it should be, where memory grows by more than 2 % after warming
up, or where descriptors are left open.
"""

import argparse
import contextlib
import gzip
import os
import random
import socket
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime as ort

from chrion_bench.serving.contenders import chrion
from chrion_bench.serving.models import MID, TINY, TOTAL, ServedModel, answered, request, write
from chrion_bench.serving.process import Server, running
from chrion_bench.workplace import workplace

CLIENTS = 6
MOST_SECONDS = 600
WARM = 0.3
"""The part of the time in which caches and pools may fill."""
GROWTH = 0.02
SAMPLE_SECONDS = 0.25
IDLE_SECONDS = 10.0
"""What connections of clients that have gone may take to be closed."""


@dataclass
class Seen:
    """What clients saw."""

    answers: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Kind:
    """A kind of request: what is sent, and what must come back."""

    name: str
    data: bytes
    status: int | None
    """None for clients that leave before they are answered."""
    wanted: np.ndarray | None = None


def kinds(models: Sequence[ServedModel], folder: Path) -> list[Kind]:
    """One of each."""
    found = []
    for model in models:
        feeds = model.feeds()
        session = ort.InferenceSession(write(model, folder), providers=["CPUExecutionProvider"])
        wanted = session.run(["output"], feeds)[0]
        for form, binary in (("binary", True), ("JSON", False)):
            found.append(Kind(f"{model.name} {form}", request(model, binary, feeds), 200, wanted))
    whole = request(MID, True, MID.feeds())
    head, _, body = whole.partition(b"\r\n\r\n")
    packed = gzip.compress(b"{" + bytes(10_000))
    return [
        *found,
        Kind("no JSON", _post(MID.name, b"{"), 400),
        Kind("wrong shape", whole.replace(b'"shape":[64,', b'"shape":[65,', 1), 400),
        Kind("no such model", _post("nobody", b"{}"), 404),
        Kind("bad gzip", _post(MID.name, packed[:-9], "Content-Encoding: gzip"), 400),
        Kind("no HTTP", b"\x16\x03\x01 NOT HTTP\r\n\r\n", 400),
        Kind("half a body", head + b"\r\n\r\n" + body[: len(body) // 2], None),
        Kind("half a head", head[:20], None),
        Kind("gone before its answer", whole, None),
        Kind("nothing", b"", None),
    ]


def _post(model: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST /v2/models/{model}/infer HTTP/1.1", "Host: here", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Clients:
    """Threads that send what is drawn from the kinds, until they are told to stop."""

    def __init__(self, server: Server, chosen: Sequence[Kind], seen: Seen) -> None:
        self._server = server
        self._kinds = chosen
        self._seen = seen
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(seed,)) for seed in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each finish the request it is at."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        draw = random.Random(seed)
        while not self._stop.is_set():
            kind = draw.choice(self._kinds)
            try:
                self._send(kind)
            except Exception as error:  # noqa: BLE001, any is a problem of the server's
                self._seen.problems.append(f"{kind.name}: {type(error).__name__}: {error}")
            self._seen.answers[kind.name] += 1

    def _send(self, kind: Kind) -> None:
        if kind.status is None:
            with socket.create_connection(("127.0.0.1", self._server.port), timeout=30) as connection:
                connection.sendall(kind.data)
            return
        status, body, length = self._server.post(kind.data)
        if status != kind.status:
            self._seen.problems.append(f"{kind.name}: {status} instead of {kind.status}: {body[:200]!r}")
        elif kind.wanted is not None and abs(answered(body, length) - kind.wanted).max() > 1e-3:
            self._seen.problems.append(f"{kind.name}: a wrong answer")


def memory(pid: int) -> int:
    """Bytes that a process and its children hold."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if pid in (parent, int(stat.parent.name)):
                total += int((stat.parent / "statm").read_text().split()[1])
    return total * os.sysconf("SC_PAGE_SIZE")


def soak(server: Server, chosen: Sequence[Kind], seconds: float, say: Callable[[str], None]) -> list[str]:
    """Load the server; what is wrong with it."""
    seen = Seen()
    clients = Clients(server, chosen, seen)
    time.sleep(seconds * WARM)
    clients.stop()
    open_before = _idle(server)
    clients = Clients(server, chosen, seen)
    samples: list[int] = []
    end = time.monotonic() + seconds * (1 - WARM)
    while time.monotonic() < end:
        time.sleep(SAMPLE_SECONDS)
        samples.append(memory(server.process.pid))
    clients.stop()
    open_after = _idle(server, open_before)
    quarter = max(1, len(samples) // 4)
    first, last = statistics.median(samples[:quarter]), statistics.median(samples[-quarter:])
    growth = last / first - 1
    say(f"requests: {sum(seen.answers.values())}, of each kind {min(seen.answers.values())} or more")
    say(f"memory: {first / 2**20:.1f} MiB, then {last / 2**20:.1f} MiB: {growth:+.2%} (at most {GROWTH:+.0%})")
    say(f"descriptors: {open_before}, then {open_after}")
    problems = [f"{problem} (×{count})" for problem, count in Counter(seen.problems).most_common(10)]
    if growth > GROWTH:
        problems.append(f"memory grew by {growth:.2%}")
    if open_after > open_before:
        problems.append(f"{open_after - open_before} descriptors were left open")
    return problems


def _idle(server: Server, wanted: int = 0) -> int:
    """Open descriptors once they are as few as wanted, or stay as they are."""
    deadline = time.monotonic() + IDLE_SECONDS
    while (found := server.descriptors) > wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, print what was seen; 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m chrion_bench.serving.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help=f"how long, {MOST_SECONDS} at most")
    seconds = min(parser.parse_args(arguments).seconds, MOST_SECONDS)
    models = (TINY, MID, TOTAL)
    every = set(os.sched_getaffinity(0))
    with workplace() as folder:
        chosen = kinds(models, folder)
        with running(chrion(), models, folder, every) as server:
            problems = soak(server, chosen, seconds, lambda text: print(text, flush=True))
    for problem in problems:
        print(f"FAILED: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
