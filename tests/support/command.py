"""The `chrion` script as its users run it: real processes, and a server that answers inside a block."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCRIPT = Path(sys.executable).with_name("chrion")
WAIT_SECONDS = 150.0
"""What a command may take on a busy machine before the test gives up on it."""

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Chrion:
    """Runs `chrion` with a cache folder."""

    cache: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str | Path, **environment: str) -> Done:
        """Run a command to its end."""
        return subprocess.run(
            [SCRIPT, *arguments],
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            stdin=subprocess.DEVNULL,
            env=self.environ(environment),
            check=False,
        )

    def ok(self, *arguments: str | Path) -> Done:
        """Run a command that must succeed."""
        done = self(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    @contextmanager
    def forking(self) -> Iterator[Callable[..., Done]]:
        """The same without the start-up: commands that are forked off a process which has imported `chrion`."""
        with (
            tempfile.TemporaryDirectory() as folder,
            subprocess.Popen(
                [sys.executable, "-P", Path(__file__).with_name("forking.py")],  # -P: operator.py is beside it
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            ) as parent,
        ):
            assert parent.stdin is not None
            assert parent.stdout is not None
            out, err = Path(folder) / "out", Path(folder) / "err"

            def run(*arguments: str | Path, **environment: str) -> Done:
                for file in (out, err):
                    file.write_text("")
                command = [str(argument) for argument in arguments]
                parent.stdin.write(json.dumps([command, str(out), str(err), self.environ(environment)]) + "\n")
                return Done(command, int(parent.stdout.readline()), out.read_text(), err.read_text())

            yield run
            parent.stdin.close()

    def start(self, *arguments: str | Path) -> "Process":
        """Start a command, in a process group of its own."""
        return Process([SCRIPT, *arguments], self.environ({}))

    def environ(self, more: dict[str, str]) -> dict[str, str]:
        fixed = {"CHRION_CACHE": str(self.cache), "COLUMNS": "80", "TERM": "dumb"}
        return {**os.environ, **fixed, **self.environment, **more}


class Process:
    """A command that runs, and the lines that it has printed."""

    def __init__(self, command: list[str | Path], environment: dict[str, str]) -> None:
        self.popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self._out: list[str] = []
        self._err: list[str] = []
        assert self.popen.stdout is not None
        assert self.popen.stderr is not None
        self._readers = [
            threading.Thread(target=self._out.extend, args=(iter(self.popen.stdout.readline, ""),)),
            threading.Thread(target=self._err.extend, args=(iter(self.popen.stderr.readline, ""),)),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def out(self) -> str:
        return "".join(self._out)

    @property
    def err(self) -> str:
        return "".join(self._err)

    def wait_for(self, text: str) -> str:
        """The first line, of either stream, that holds `text`; fails where the command ends without it."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            ended = self.popen.poll() is not None
            for line in [*self._out, *self._err]:
                if text in line:
                    return line
            if ended:
                break
            time.sleep(0.02)
        raise AssertionError(f'no "{text}" in:\n{self.out}{self.err}')

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and all that it started, as a terminal does."""
        os.killpg(self.popen.pid, number)

    def end(self) -> int:
        """Wait for the end; the exit code."""
        code = self.popen.wait(WAIT_SECONDS)
        for reader in self._readers:
            reader.join(WAIT_SECONDS)
        return code

    def group(self) -> set[int]:
        """The living processes of its group."""
        found = set()
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(group) == self.popen.pid and state not in "ZX":
                found.add(int(stat.parent.name))
        return found

    def wait_for_no_survivors(self) -> None:
        """Wait until no process of its group lives; fails where one does."""
        deadline = time.monotonic() + 20
        while survivors := self.group():
            assert time.monotonic() < deadline, f"still alive: {survivors}"
            time.sleep(0.05)


@dataclass(frozen=True)
class Server:
    """A `chrion` that serves."""

    process: Process
    name: str
    address: str
    """Host and port."""
    metrics: str = ""
    """The URL of the metrics; empty without them."""

    @property
    def url(self) -> str:
        return f"http://{self.address}/v2/models/{self.name}"

    def plan(self) -> dict[str, Any]:
        """What `/v2/models/{model}/plan` says."""
        with urllib.request.urlopen(f"{self.url}/plan", timeout=30) as response:
            found: dict[str, Any] = json.load(response)
        return found

    def plans(self) -> list[dict[str, Any]]:
        """The plan in use for each bucket."""
        found: list[dict[str, Any]] = self.plan()["buckets"]
        return found


Serve = Callable[..., AbstractContextManager[Server]]


@contextmanager
def serving(chrion: Chrion, *arguments: str | Path) -> Iterator[Server]:
    command, *options = arguments
    process = chrion.start(command, "--port", "0", "--metrics-port", "-1", *options)
    try:
        _, _, rest = process.wait_for("serving on http://").partition("http://")
        address, *_, name = rest.strip().split("/")
        where = process.wait_for("metrics on http://") if "--metrics-port" in arguments else ""
        yield Server(process, name, address, where.rpartition(" ")[2].strip())
        if process.popen.poll() is None:
            process.signal(signal.SIGTERM)
        assert process.end() == 0, process.err
        assert "Traceback" not in process.err
    finally:
        if process.popen.poll() is None:
            process.signal(signal.SIGKILL)
            process.end()
