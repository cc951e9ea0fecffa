"""The `chrion` script as its users run it: real processes, a cache folder of the tests' own, small models."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
import tritonclient.http as triton
from tritonclient.utils import np_to_triton_dtype

from chrion_models.families import ModelCase
from chrion_models.families.stack import stack
from tests.support.command import Chrion, Done, Serve, Server
from tests.support.command import serving as serve_command
from tests.support.made_once import made_once


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
    return serve_command


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
    arguments = ("plan", model, "--input", shape)
    return made_once("plan.json", tmp_path_factory, lambda path: chrion.ok(*arguments, "-o", path))


@pytest.fixture(scope="session")
def profile_file(chrion: Chrion, model: Path, shape: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile of the model on a CPU lane and an emulated accelerator that is made out to be ten times as fast."""

    def make(path: Path) -> None:
        chrion.ok("profile", model, "--input", shape, "--devices", "cpu,emulated:0", "--lanes", "1", "-o", path)
        profile = json.loads(path.read_text())
        (accelerator,) = (device for device in profile["devices"] if device["name"] == "emulated:0")
        for cost in (*accelerator["wholes"], *filter(None, accelerator["nodes"].values())):
            cost["seconds"] /= 10
        path.write_text(json.dumps(profile))

    return made_once("profile.json", tmp_path_factory, make)


@pytest.fixture(scope="session")
def one_lane_file(profile_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of that profile the CPU lane alone, for which there is nothing to search."""
    path = tmp_path_factory.mktemp("profiles") / "one-lane.json"
    profile = json.loads(profile_file.read_text())
    path.write_text(json.dumps({**profile, "devices": profile["devices"][:1], "transfers": []}))
    return path


@pytest.fixture(scope="session")
def frontier_file(
    chrion: Chrion, model: Path, shape: str, profile_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Plans by that profile: fast ones that take the accelerator's memory, and a slow one that takes none."""
    arguments = ("plan", model, "--input", shape, "--profile", profile_file, "--quiet")
    return made_once("frontier.json", tmp_path_factory, lambda path: chrion.ok(*arguments, "-o", path))


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
