"""Events on ChrionModels, as `kubectl describe` shows them: repeated ones are counted, and a flood is cut off."""

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime

from chrion_operator.cluster.api import Api
from chrion_operator.cluster.errors import ApiConflict, ApiError, ApiNotFound
from chrion_operator.cluster.kinds import EVENT
from chrion_operator.names import API_VERSION, FIELD_MANAGER, Object
from chrion_operator.reconcile.observed import ModelEvent

log = logging.getLogger(__name__)

BURST, REFILL_SECONDS = 25, 60.0
"""Events of one model at once, and the seconds until one more may be told; client-go does the like."""
REMEMBERED = 4096
QUIET_SECONDS = 30.0
"""The same sentence about the same model is told once in this time."""


@dataclass
class _Bucket:
    tokens: float
    at: float


class Recorder:
    """Tells events. Never raises: what cannot be told is logged."""

    def __init__(self, api: Api, identity: str) -> None:
        self._api, self._identity = api, identity
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._told: OrderedDict[str, float] = OrderedDict()

    def tell(self, model: Object, event: ModelEvent) -> None:
        """Tell an event, or count it where it was told before."""
        metadata = model["metadata"]
        mark = hashlib.sha256("\0".join([metadata["uid"], event.type, event.reason, event.message]).encode())
        name = f"{metadata['name'][:200]}.{mark.hexdigest()[:16]}"
        if not self._may(metadata["uid"], name):
            return
        try:
            self._write(name, model, event)
        except ApiError as error:
            log.warning(
                "cannot write event %s for %s/%s: %s", event.reason, metadata["namespace"], metadata["name"], error
            )

    def _write(self, name: str, model: Object, event: ModelEvent) -> None:
        metadata = model["metadata"]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        made: Object = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": model.get("kind", "ChrionModel"),
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
            "type": event.type,
            "reason": event.reason,
            "message": event.message[:1024],
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "reportingInstance": self._identity,
        }
        try:
            self._api.create(made)
        except ApiConflict:
            try:
                told = self._api.get(EVENT, metadata["namespace"], name)
            except ApiNotFound:
                return
            more = {"count": int(told.get("count") or 1) + 1, "lastTimestamp": now}
            self._api.patch(EVENT, metadata["namespace"], name, more)

    def _may(self, uid: str, name: str) -> bool:
        now = time.monotonic()
        with self._lock:
            if now - self._told.get(name, -QUIET_SECONDS) < QUIET_SECONDS:
                return False
            bucket = self._buckets.setdefault(uid, _Bucket(BURST, now))
            bucket.tokens = min(BURST, bucket.tokens + (now - bucket.at) / REFILL_SECONDS)
            bucket.at = now
            self._buckets.move_to_end(uid)
            if bucket.tokens < 1:
                return False
            bucket.tokens -= 1
            self._told[name] = now
            self._told.move_to_end(name)
            for remembered in (self._buckets, self._told):
                while len(remembered) > REMEMBERED:
                    remembered.popitem(last=False)
            return True
