"""A plan file in a ConfigMap: what to patch in, and what is there. Pure functions over plain JSON data."""

import base64
import binascii
import gzip
import json
from collections.abc import Mapping
from typing import Any

from chrion_api import ChrionError, PlanFile
from chrion_api.handover import PLAN_KEY, PLANNED_ANNOTATION, PROGRESS_ANNOTATION, REVISION_ANNOTATION, PlanProgress
from chrion_runtime.choice.documents import inflated

PLAIN_BYTES = 900_000
"""The largest plan that goes in as text; people can read those."""
MOST_BYTES = 1_000_000
"""What a ConfigMap may hold is 1 MiB, its metadata included."""


class PlanTooLarge(ChrionError):
    """A plan file that no ConfigMap can hold."""


def plan_patch(plan: PlanFile, revision: str, version: str) -> dict[str, Any]:
    """The merge patch that hands a plan in: data and annotation at once, on the version that was read last.

    Raises PlanTooLarge.
    """
    text = plan.to_json()
    data: dict[str, str | None] = {PLAN_KEY: text}
    binary: dict[str, str | None] = {PLAN_KEY: None}
    if len(text.encode()) > PLAIN_BYTES:
        packed = gzip.compress(text.encode(), mtime=0)
        if len(packed) > MOST_BYTES:
            raise PlanTooLarge(
                f"the compressed plan has {len(packed):,} bytes, but a ConfigMap holds {MOST_BYTES:,}: "
                "plan for fewer shapes"
            )
        data, binary = {PLAN_KEY: None}, {PLAN_KEY: base64.b64encode(packed).decode()}
    done = PlanProgress(percent=100, doing="planned", revision=revision)
    return {
        "metadata": {
            "resourceVersion": version,
            "annotations": {PLANNED_ANNOTATION: revision, PROGRESS_ANNOTATION: written(done)},
        },
        "data": data,
        "binaryData": binary,
    }


def progress_patch(progress: PlanProgress) -> dict[str, Any]:
    """The merge patch that says how far planning is."""
    return {"metadata": {"annotations": {PROGRESS_ANNOTATION: written(progress)}}}


def written(progress: PlanProgress) -> str:
    """Progress as its annotation holds it."""
    return json.dumps(progress.to_data(), ensure_ascii=False)


def plan_of(config_map: Mapping[str, Any], revision: str) -> PlanFile | None:
    """The plan that was handed in for a revision; None where there is none that can be read."""
    if _annotations(config_map).get(PLANNED_ANNOTATION) != revision:
        return None
    text = (config_map.get("data") or {}).get(PLAN_KEY)
    packed = (config_map.get("binaryData") or {}).get(PLAN_KEY)
    try:
        content = text if text is not None else inflated(base64.b64decode(packed or ""), PLAN_KEY)
        return PlanFile.from_json(content, PLAN_KEY)
    except (ChrionError, binascii.Error):
        return None


def wanted_revision(config_map: Mapping[str, Any]) -> str | None:
    """The revision that the operator wants now; None where it does not say."""
    return _annotations(config_map).get(REVISION_ANNOTATION)


def _annotations(config_map: Mapping[str, Any]) -> Mapping[str, str]:
    return config_map["metadata"].get("annotations") or {}
