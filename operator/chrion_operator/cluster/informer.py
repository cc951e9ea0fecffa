"""Lists and then watches one kind of object, for as long as the process lives."""

import logging
import random
import threading
from typing import Protocol

from chrion_operator.cluster.api import Api, Listing
from chrion_operator.cluster.errors import ApiAnswerTooLarge, ApiError, ApiGone
from chrion_operator.cluster.kinds import Kind
from chrion_operator.cluster.metrics import FAULTS, RESTARTED_WATCHES
from chrion_operator.names import Object

log = logging.getLogger(__name__)

WATCH_SECONDS = (240, 300)
"""How long one watch lasts; then the next goes on from where it ended."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0
"""Seconds before the next try, where the server cannot be reached."""


class Sink(Protocol):
    """Who is told; from the informer's thread."""

    def listed(self, kind: Kind, namespace: str, things: Listing) -> None:
        """All objects there are."""

    def happened(self, kind: Kind, event: str, thing: Object) -> None:
        """An object was ADDED, MODIFIED or DELETED."""


class Informer(threading.Thread):
    """One kind in one namespace ("" for all), selected by labels on the server."""

    def __init__(self, api: Api, kind: Kind, namespace: str, labels: str, sink: Sink) -> None:
        super().__init__(name=f"watch-{kind.plural}-{namespace}", daemon=True)
        self.synced = threading.Event()
        self._api, self._kind, self._namespace, self._labels, self._sink = api, kind, namespace, labels, sink

    def run(self) -> None:
        """List, watch, and start over where a watch cannot go on; never returns."""
        version, pause = "", FIRST_PAUSE
        while True:
            try:
                if not version:
                    things = self._api.list(self._kind, self._namespace, self._labels)
                    self._sink.listed(self._kind, self._namespace, things)
                    version = things.version
                    self.synced.set()
                seconds = random.randint(*WATCH_SECONDS)  # noqa: S311
                for event, thing in self._api.watch(self._kind, self._namespace, self._labels, version, seconds):
                    version, pause = thing["metadata"].get("resourceVersion", version), FIRST_PAUSE
                    if event != "BOOKMARK":
                        self._sink.happened(self._kind, event, thing)
            except ApiGone:
                RESTARTED_WATCHES.labels(kind=self._kind.name).inc()
                version = ""
            except ApiError as error:
                log.warning("cannot watch %s: %s", self._kind.plural, error)
                version = "" if isinstance(error, ApiAnswerTooLarge) else version
                threading.Event().wait(pause * random.uniform(0.75, 1.25))  # noqa: S311
                pause = min(pause * 2, LONGEST_PAUSE)
            except Exception:
                FAULTS.labels(where="watch").inc()
                log.exception("cannot process %s", self._kind.plural)
                threading.Event().wait(LONGEST_PAUSE)
                version = ""
