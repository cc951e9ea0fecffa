"""Read the files that a served model is told by: plans, and objectives."""

import gzip
import io
import zlib
from pathlib import Path

import yaml

from chrion_api import ChrionModel, Objective, PlanFile
from chrion_runtime.errors import Unreadable

MOST_BYTES = 256 << 20
"""The largest plan file, after inflating."""
_MOST_OBJECTIVE_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"


def read_plan_file(path: Path) -> PlanFile:
    """The plan file at `path`, plain or compressed with gzip as a ConfigMap's `binaryData` may hold it.

    Raises Unreadable, InvalidDocument.
    """
    return PlanFile.from_json(inflated(_read(path, MOST_BYTES), str(path)), str(path))


def inflated(data: bytes, source: str) -> bytes:
    """Bytes as they are, or inflated where they are compressed with gzip; `source` names them. Raises Unreadable."""
    if not data.startswith(_GZIP):
        return data
    try:
        with gzip.open(io.BytesIO(data)) as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable(f"{source}: cannot be read: damaged gzip: {error}") from None
    if len(data) > MOST_BYTES:
        raise Unreadable(f"{source}: cannot be read: it inflates to more than {MOST_BYTES >> 20} MiB")
    return data


def read_objective(path: Path) -> Objective:
    """The objective in the file at `path`: an SLO with its mode, or a ChrionModel that has both in its spec.

    Raises Unreadable, InvalidDocument.
    """
    data = _read(path, _MOST_OBJECTIVE_BYTES)
    if _is_chrionmodel(data):
        spec = ChrionModel.from_yaml(data, str(path)).spec
        return Objective.of(spec.slo, spec.mode)
    return Objective.from_yaml(data, str(path))


def _is_chrionmodel(data: bytes) -> bool:
    try:
        value = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "kind" in value


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > most:
        raise Unreadable(f"{path}: cannot be read: it is larger than {most >> 20} MiB")
    return data
