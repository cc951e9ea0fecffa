"""Read the files that a served model is told by: plans, and objectives."""

import gzip
import io
import json
import stat
import zlib
from pathlib import Path

from chrion_api import ChrionModel, InvalidDocument, Objective, PlanFile
from chrion_api.yaml_text import MAX_BYTES, yaml_to_json
from chrion_runtime.errors import Unreadable

MOST_BYTES = 256 << 20
"""The largest plan file, after inflating."""
_GZIP = b"\x1f\x8b"


def read_plan_file(path: Path) -> PlanFile:
    """The plan file at `path`, plain or compressed with gzip as a ConfigMap's `binaryData` may hold it.

    Raises Unreadable, InvalidDocument.
    """
    return PlanFile.from_json(inflated(read_bounded(path, MOST_BYTES), str(path)), str(path))


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
    data = read_bounded(path, MAX_BYTES)
    if _is_chrionmodel(data):
        spec = ChrionModel.from_yaml(data, str(path)).spec
        return Objective.of(spec.slo, spec.mode)
    return Objective.from_yaml(data, str(path))


def _is_chrionmodel(data: bytes) -> bool:
    """Whether it is one by its looks; what cannot be read at all is not."""
    try:
        value = json.loads(yaml_to_json(data, ""))
    except (InvalidDocument, ValueError):
        return False
    return isinstance(value, dict) and "kind" in value


def check_plain(path: Path) -> None:
    """Raise Unreadable for what is no file: a pipe or a device may keep whoever reads it for ever."""
    try:
        plain = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read: {error.strerror}") from None
    if not plain:
        raise Unreadable(f"{path}: is not a regular file; put one in its place")


def read_bounded(path: Path, most: int = MOST_BYTES) -> bytes:
    """A file of at most so many bytes. Raises Unreadable."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > most:
        raise Unreadable(f"{path}: cannot be read: it is larger than {most >> 20} MiB")
    return data
