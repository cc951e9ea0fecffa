"""The `chrion` script as its users run it: real processes, a cache folder of the tests' own, small models."""

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

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
import tritonclient.http as triton
from tritonclient.utils import np_to_triton_dtype

from chrion_bench.families import ModelCase
from chrion_bench.families.stack import stack

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
                [sys.executable, Path(__file__).with_name("forking.py")],
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

    @property
    def url(self) -> str:
        return f"http://{self.address}/v2/models/{self.name}"

    def plans(self) -> list[dict[str, Any]]:
        """The plan in use for each bucket."""
        with urllib.request.urlopen(f"{self.url}/plan", timeout=30) as response:
            found: list[dict[str, Any]] = json.load(response)["buckets"]
        return found


Serve = Callable[..., AbstractContextManager[Server]]


@contextmanager
def _serving(chrion: Chrion, *arguments: str | Path) -> Iterator[Server]:
    process = chrion.start(*arguments, "--port", "0", "--metrics-port", "-1")
    try:
        _, _, rest = process.wait_for("serving on http://").partition("http://")
        address, *_, name = rest.strip().split("/")
        yield Server(process, name, address)
        if process.popen.poll() is None:
            process.signal(signal.SIGTERM)
        assert process.end() == 0, process.err
        assert "Traceback" not in process.err
    finally:
        if process.popen.poll() is None:
            process.signal(signal.SIGKILL)
            process.end()


@pytest.fixture(scope="session")
def chrion(tmp_path_factory: pytest.TempPathFactory) -> Chrion:
    """The command, with a cache folder that all tests share."""
    return Chrion(tmp_path_factory.mktemp("chrion-cache"))


@pytest.fixture(scope="session")
def quick(chrion: Chrion) -> Iterator[Callable[..., Done]]:
    """The command without its start-up, for the many cases that only end in a sentence."""
    with chrion.forking() as run:
        yield run


@pytest.fixture
def fresh_chrion(tmp_path: Path) -> Chrion:
    """The command, with an empty cache folder."""
    return Chrion(tmp_path / "cache")


@pytest.fixture(scope="session")
def serving() -> Serve:
    """`serving(chrion, "serve", …)`: a server that answers inside the block, and is asked to end after it."""
    return _serving


Arrays = dict[str, npt.NDArray[Any]]


@pytest.fixture(scope="session")
def reference() -> Callable[[Path, Arrays], Arrays]:
    """`reference(model, feeds)`: what ONNX Runtime's default session answers."""

    def answer(model: Path, feeds: Arrays) -> Arrays:
        session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, feeds), strict=True))

    return answer


@pytest.fixture(scope="session")
def ask() -> Callable[..., Arrays]:
    """`ask(server, feeds, binary=True)`: what a server answers Triton's client."""

    def infer(server: Server, feeds: Arrays, binary: bool = True) -> Arrays:
        tensors = []
        for name, array in feeds.items():
            tensor = triton.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
            tensors.append(tensor.set_data_from_numpy(array, binary_data=binary))
        with triton.InferenceServerClient(server.address) as client:
            wanted = [item["name"] for item in client.get_model_metadata(server.name)["outputs"]]
            outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in wanted]
            answer = client.infer(server.name, tensors, outputs=outputs)
        return {name: answer.as_numpy(name) for name in wanted}

    return infer


@pytest.fixture(scope="session")
def assert_equal() -> Callable[[Arrays, Arrays], None]:
    """`assert_equal(found, wanted)`: the same names, and values within the tolerance of another fusion."""

    def check(found: Arrays, wanted: Arrays) -> None:
        assert found.keys() == wanted.keys()
        for name, array in wanted.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-3, atol=1e-4)

    return check


@pytest.fixture(scope="session")
def case() -> ModelCase:
    """A model whose two directions are worth running side by side."""
    return stack("GRU", "bidirectional", 1, 128, 64, 1)


@pytest.fixture(scope="session")
def model(case: ModelCase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's file."""
    path = tmp_path_factory.mktemp("models") / "gru.onnx"
    onnx.save(case.build(), path)
    return path


@pytest.fixture(scope="session")
def shape(case: ModelCase) -> str:
    """What `--input` takes for the model."""
    return f"input={'x'.join(map(str, case.inputs['input']))}"


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model with the same input."""
    path = tmp_path_factory.mktemp("models") / "other.onnx"
    onnx.save(stack("LSTM", "forward", 1, 128, 64, 1).build(), path)
    return path


@pytest.fixture(scope="session")
def plan_file(chrion: Chrion, model: Path, shape: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measured plans of the model for this machine's CPU."""
    path = tmp_path_factory.mktemp("plans") / "plan.json"
    chrion.ok("plan", model, "--input", shape, "-o", path)
    return path


@pytest.fixture(scope="session")
def profile_file(chrion: Chrion, model: Path, shape: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile of the model on a CPU lane and an emulated accelerator that is made out to be ten times as fast."""
    path = tmp_path_factory.mktemp("profiles") / "profile.json"
    chrion.ok("profile", model, "--input", shape, "--devices", "cpu,emulated:0", "--lanes", "1", "-o", path)
    profile = json.loads(path.read_text())
    (accelerator,) = (device for device in profile["devices"] if device["name"] == "emulated:0")
    for cost in (*accelerator["wholes"], *filter(None, accelerator["nodes"].values())):
        cost["seconds"] /= 10
    path.write_text(json.dumps(profile))
    return path


@pytest.fixture(scope="session")
def frontier_file(
    chrion: Chrion, model: Path, shape: str, profile_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Plans by that profile: fast ones that take the accelerator's memory, and a slow one that takes none."""
    path = tmp_path_factory.mktemp("plans") / "frontier.json"
    chrion.ok("plan", model, "--input", shape, "--profile", profile_file, "-o", path, "--quiet")
    return path


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[Path, Callable[[Any], None]], Path]:
    """`edited(file, change)`: a copy of a JSON file that `change` was applied to."""

    def edit(file: Path, change: Callable[[Any], None]) -> Path:
        value = json.loads(file.read_text())
        change(value)
        copy = tmp_path / f"edited-{file.name}"
        copy.write_text(json.dumps(value))
        return copy

    return edit


@pytest.fixture(scope="session")
def refusal() -> Callable[[Done], str]:
    """The one line of a command that refused its input; fails where it did anything else."""

    def line(done: Done) -> str:
        assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        errors = [line for line in done.stderr.splitlines() if line.startswith("chrion: ")]
        assert len(errors) == 1, done.stderr
        assert done.stderr.endswith(f"{errors[0]}\n"), done.stderr
        return errors[0]

    return line
