"""Plans: what a plan ConfigMap holds, as a checked plan file, or why it cannot be served."""

import base64
import gzip
import hashlib
import io
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chrion_api import InvalidDocument, PlanFile, Reason
from chrion_api.handover import PLAN_KEY
from chrion_operator.errors import UnservablePlan
from chrion_operator.names import UnreadablePart

MAX_PLAN_BYTES = 8 * 1024**2
"""What a plan file may come to when it is decompressed; one of 10,000 nodes has a few MB."""
MAX_PLAN_VALUES = 500_000
"""The values in it; a stage has about 25."""

_one_at_a_time = threading.Lock()
"""Reading a plan at these bounds takes up to 150 MB, and the operator has several workers."""

GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class CheckedPlan:
    """A plan file that was checked, and the form in which it stood in its ConfigMap."""

    file: PlanFile
    digest: str
    """SHA-256 of the plan file's text."""
    payload: Mapping[str, Mapping[str, str]]
    """`data` or `binaryData` of a ConfigMap, with the plan file alone."""


def read_plan(configmap: Mapping[str, Any], sha256: str | None = None) -> CheckedPlan:
    """Check the plan of a ConfigMap, and that it is for the model with this digest, where one is given.

    Raises UnservablePlan that names the ConfigMap and what is wrong.
    """
    source = f"ConfigMap {configmap['metadata']['name']}: {PLAN_KEY}"
    with _one_at_a_time:
        text, payload = _content(configmap, source)
        try:
            file = PlanFile.from_json(text, source, MAX_PLAN_VALUES)
        except InvalidDocument as error:
            raise UnservablePlan(Reason.PLAN_REFUSED, str(error)) from None
    if sha256 is not None and file.model != sha256:
        problem = f"{source}: is for model {file.model}, but spec.model.sha256 is {sha256}"
        raise UnservablePlan(Reason.DIGEST_MISMATCH, problem)
    return CheckedPlan(file, hashlib.sha256(text).hexdigest(), payload)


def _content(configmap: Mapping[str, Any], source: str) -> tuple[bytes, Mapping[str, Mapping[str, str]]]:
    """The plan file's text, and where it stood."""
    for field in ("data", "binaryData"):
        if isinstance(content := configmap.get(field), UnreadablePart):
            raise UnservablePlan(Reason.PLAN_REFUSED, f"ConfigMap {configmap['metadata']['name']}: {field} {content}")
    plain = (configmap.get("data") or {}).get(PLAN_KEY)
    if plain is not None:
        return plain.encode(), {"data": {PLAN_KEY: plain}}
    binary = (configmap.get("binaryData") or {}).get(PLAN_KEY)
    if binary is None:
        raise UnservablePlan(Reason.PLAN_REFUSED, f"{source}: is missing")
    try:
        text = _unpacked(base64.b64decode(binary, validate=True))
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise UnservablePlan(Reason.PLAN_REFUSED, f"{source}: cannot be decompressed: {error}") from None
    if len(text) > MAX_PLAN_BYTES:
        raise UnservablePlan(Reason.PLAN_REFUSED, f"{source}: holds more than {MAX_PLAN_BYTES:,} bytes")
    return text, {"binaryData": {PLAN_KEY: binary}}


def _unpacked(content: bytes) -> bytes:
    """The content, decompressed where it is gzip; at most one byte more than the limit."""
    if not content.startswith(GZIP_MAGIC):
        return content
    with gzip.open(io.BytesIO(content)) as stream:
        return stream.read(MAX_PLAN_BYTES + 1)
