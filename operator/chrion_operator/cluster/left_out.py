"""Objects that cannot be taken in: left out, counted, and told of once each."""

import logging
from collections import OrderedDict
from threading import Lock

from chrion_operator.cluster.kinds import Kind
from chrion_operator.cluster.metrics import LEFT_OUT
from chrion_operator.names import Object

log = logging.getLogger(__name__)

REMEMBERED = 1024


class LeftOut:
    """Tells of objects that are left out. May be used by any number of threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._told: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    def tell(self, kind: Kind, thing: Object, error: Exception) -> None:
        """Count an object, and log it where that was not done yet."""
        LEFT_OUT.labels(kind=kind.name).inc()
        metadata = thing.get("metadata")
        named = metadata if isinstance(metadata, dict) else {}
        place = (kind.name, str(named.get("namespace", "?")), str(named.get("name", "?"))[:253])
        with self._lock:
            if place in self._told:
                return
            self._told[place] = None
            if len(self._told) > REMEMBERED:
                self._told.popitem(last=False)
        log.warning("%s %s/%s is ignored: %s: %.200s", *place, type(error).__name__, error)
