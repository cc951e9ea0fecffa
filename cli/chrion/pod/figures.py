"""Figures of devices in a ConfigMap, which the planners of a namespace and node class share.

They are only a saving: where they cannot be read or written, planning goes on without. Whoever may write the ConfigMap
is trusted no more than any file.
"""

import base64
import gzip
import logging
import time
from collections.abc import Mapping
from typing import Any

from chrion.cache import figures_name
from chrion.pod.config_map import ClusterError, ConfigMap, ConfigMapConflict, Persistence
from chrion_api import ChrionError, DeviceKey
from chrion_planner.profiling import Known
from chrion_runtime.choice.documents import inflated

log = logging.getLogger(__name__)

MOST_BYTES = 700_000
"""What all figures of a ConfigMap may take, which holds 1 MiB; those of 10,000 kinds of nodes take 550 kB."""
_TRIES = 5
"""How often figures are written where others write at the same time."""
_MTIME = slice(4, 8)
"""Where gzip's header says when it was written (RFC 1952)."""


class SharedFigures:
    """Figures of devices, each under its key; shared by all models of a namespace on nodes of one class."""

    def __init__(self, reference: str) -> None:
        """`reference` is the ConfigMap's NAMESPACE/NAME. Raises UsageError."""
        self._config_map = ConfigMap(reference, Persistence(seconds=5.0))

    def read(self, key: DeviceKey, lanes: int) -> Known | None:
        """What is known of a device; None where that is nothing, damaged, or cannot be read."""
        try:
            return figures_of(self._config_map.read(), key, lanes)
        except ClusterError as error:
            log.warning("cannot read earlier measurements, measuring everything again: %s", error)
            return None

    def keep(self, found: Known) -> None:
        """Keep these too; where they cannot be written they are measured again another time."""
        for left in reversed(range(_TRIES)):
            try:
                self._config_map.patch(figures_patch(self._config_map.read(), found, int(time.time())))
                return
            except ClusterError as error:
                if not left or not isinstance(error, ConfigMapConflict):
                    log.warning("cannot keep the measurements: %s", error)
                    return


def figures_of(config_map: Mapping[str, Any], key: DeviceKey, lanes: int) -> Known | None:
    """What a ConfigMap says of a device; None where that is nothing, or damaged, which is logged."""
    name = figures_name(key, lanes)
    text = _entries(config_map).get(name)
    if text is None:
        return None
    try:
        known = Known.from_json(inflated(_decoded(text), name), name)
    except ChrionError as error:
        log.warning("ignoring damaged measurements: %s", error)
        return None
    if (known.device.key, known.device.lanes) != (key, lanes):
        log.warning("ignoring measurements of another device: %s", name)
        return None
    return known


def figures_patch(config_map: Mapping[str, Any], found: Known, now: int) -> dict[str, Any]:
    """The merge patch that adds figures to those on the version that was read, at `now` in seconds since 1970.

    Where all would be too many, those that were written the longest ago go.
    """
    name = figures_name(found.device.key, found.device.lanes)
    known = figures_of(config_map, found.device.key, found.device.lanes)
    packed = gzip.compress((known.joined(found) if known else found).to_json().encode(), mtime=now)
    entries = {other: _decoded(text) for other, text in _entries(config_map).items()} | {name: packed}
    changes: dict[str, str | None] = {name: base64.b64encode(packed).decode()}
    room = MOST_BYTES
    for other, data in sorted(entries.items(), key=lambda item: _written(item[1]), reverse=True):
        if len(data) <= room:
            room -= len(data)
        else:
            changes[other] = None
    return {"metadata": {"resourceVersion": config_map["metadata"]["resourceVersion"]}, "binaryData": changes}


def _entries(config_map: Mapping[str, Any]) -> Mapping[str, str]:
    return config_map.get("binaryData") or {}


def _decoded(text: str) -> bytes:
    """Base64 as the API server writes it; what it never wrote is no bytes."""
    try:
        return base64.b64decode(text)
    except ValueError:
        return b""


def _written(data: bytes) -> int:
    """When an entry was written, as it says itself."""
    return int.from_bytes(data[_MTIME], "little")
