"""A server alone in its process, pinned to its core, with what it takes of memory and descriptors; and the client's."""

import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from chrion_bench.serving import client
from chrion_bench.serving.client import Job
from chrion_bench.serving.models import ServedModel, answered

START_SECONDS = 90.0
END_SECONDS, LOAD_SECONDS = 15.0, 120.0
TICKS = os.sysconf("SC_CLK_TCK")
most_times = 5
"""How often a load is sent, where it is not said."""

Data = dict[str, Any]


class ServerFailed(Exception):
    """A server that did not start, or answered wrongly; the message says why."""


@dataclass(frozen=True)
class Program:
    """How to start a server."""

    name: str
    python: Path
    path: Path
    more: tuple[str, ...] = ()
    """Arguments after the models."""


@dataclass(frozen=True)
class Server:
    """One that runs."""

    process: "subprocess.Popen[bytes]"
    port: int

    def post(self, request: bytes) -> tuple[int, bytes, str | None]:
        """Send one whole request; status, body and the length of its JSON where bytes follow it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(request)
            response = http.client.HTTPResponse(connection, method="POST")
            response.begin()
            return response.status, response.read(), response.headers.get("Inference-Header-Content-Length")

    @property
    def memory(self) -> int:
        """Bytes that its process holds now."""
        fields = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def cpu_seconds(self) -> float:
        """What its process and those that it started have had of cores so far."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
                if int(fields[2]) == self.process.pid:
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

    @property
    def descriptors(self) -> int:
        """Its open descriptors."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@contextmanager
def running(program: Program, models: Sequence[ServedModel], folder: Path, cores: set[int]) -> Iterator[Server]:
    """A server of the models, on those cores, that answers. Raises ServerFailed."""
    port = _free_port()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [program.python, program.path, str(port), str(folder), *(model.name for model in models), *program.more],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        _pin(process, cores)
        try:
            _wait(process, port, models)
            yield Server(process, port)
        except (OSError, ServerFailed) as error:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            raise ServerFailed(f"{program.name}: {error}; it said: {lines[-1] if lines else 'nothing'}") from None
        finally:
            _end(process)


def _pin(process: "subprocess.Popen[bytes]", cores: set[int]) -> None:
    """Hold a process that has just started to some cores, and so all threads that it will start.

    Not between fork and exec: gRPC's own handlers of forks run there then, and may end the process.
    """
    with contextlib.suppress(ProcessLookupError):
        os.sched_setaffinity(process.pid, cores)


def _wait(process: "subprocess.Popen[bytes]", port: int, models: Sequence[ServedModel]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerFailed(f"ended with exit code {process.returncode}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            if all(_ready(port, model) for model in models):
                return
        time.sleep(0.1)
    raise ServerFailed(f"does not answer after {START_SECONDS:g} s")


def _ready(port: int, model: ServedModel) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", f"/v2/models/{model.name}/ready")
        # The bare server has no such path, and answers once it has everything.
        return connection.getresponse().status in (200, 404)
    finally:
        connection.close()


def _end(process: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)


def check(server: Server, model: ServedModel, request: bytes, wanted: Any) -> None:
    """Ask once and compare. Raises ServerFailed."""
    status, body, length = server.post(request)
    if status != 200:
        raise ServerFailed(f"answers {model.name} with {status}: {body[:200].decode(errors='replace')}")
    found = answered(body, length)
    if found.shape != wanted.shape or abs(found - wanted).max() > 1e-4:
        raise ServerFailed(f"answers {model.name} wrongly")


def load(server: Server, job: Job, cores: set[int]) -> list[Data]:
    """Run the load generator on those cores several times; the counts of the quietest. Raises ServerFailed."""
    return quietest(server, lambda: once(job, cores))


def once(job: Job, cores: set[int]) -> list[Data]:
    """Run the load generator on those cores; its counts. Raises ServerFailed."""
    with begun(job, cores) as process:
        out, error = process.communicate(timeout=LOAD_SECONDS)
    return counts(process, out, error)


def quietest(server: Server, measure: Callable[[], list[Data]], times: int = 0) -> list[Data]:
    """Measure several times; what was found when answers were quickest, by the p99 of all counts together.

    What disturbs a machine, and what its host takes away, only ever adds. Each count says what all of them found
    (`p99s`), what other work took of a core meanwhile (`others`), and what the server did (`serverSeconds`).
    """
    found = [_accounted(server, measure) for _ in range(times or most_times)]
    p99s = [[count["answers"].get("200", {}).get("p99", inf) for count in counts] for counts in found]
    best = min(range(len(found)), key=lambda index: sum(p99s[index]))
    for place, count in enumerate(found[best]):
        count["p99s"] = sorted(each[place] for each in p99s)
    return found[best]


def _accounted(server: Server, measure: Callable[[], list[Data]]) -> list[Data]:
    began, busy, worked = time.monotonic(), _busy_seconds() - _client_seconds(), server.cpu_seconds
    found = measure()
    worked = server.cpu_seconds - worked
    others = (_busy_seconds() - _client_seconds() - busy - worked) / (time.monotonic() - began)
    for count in found:
        count["others"] = max(0.0, others)
        count["serverSeconds"] = worked
    return found


def _client_seconds() -> float:
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def _busy_seconds() -> float:
    """What all work on the machine has had of its cores, and what its host took away."""
    user, nice, system, _idle, _wait, irq, soft, steal, *_ = map(
        int, Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    )
    return (user + nice + system + irq + soft + steal) / TICKS


@contextmanager
def begun(job: Job, cores: set[int]) -> Iterator["subprocess.Popen[bytes]"]:
    """A load generator that runs on those cores."""
    with tempfile.TemporaryDirectory(prefix="chrion-load-") as folder:
        path = Path(folder) / "job.json"
        path.write_text(json.dumps(client.job_data(job)), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, client.__file__, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        _pin(process, cores)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def counts(process: "subprocess.Popen[bytes]", out: bytes, error: bytes) -> list[Data]:
    """What a load generator that has ended found. Raises ServerFailed."""
    if process.returncode:
        raise ServerFailed(f"the load generator failed: {(error.decode().strip().splitlines() or ['?'])[-1]}")
    found: list[Data] = json.loads(out)
    return found


def _free_port() -> int:
    # MLServer takes the two after it, too.
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port
