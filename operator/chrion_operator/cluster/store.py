"""What is, as far as watches have told: the ChrionModels, the objects that belong to each, and the nodes."""

import threading
from collections import OrderedDict
from collections.abc import Container, Iterable
from dataclasses import replace

from chrion_operator.cluster.kinds import MODEL, Kind
from chrion_operator.cluster.trim import trim, trim_model
from chrion_operator.names import MODEL_LABEL, Object, label_value
from chrion_operator.reconcile.observed import Key, SeenObject
from chrion_operator.reconcile.summary import PlanSummary

GRAVES = 2048
"""How many deleted objects are remembered, so that an answer that comes late does not bring one back."""


class Store:
    """Objects by the ChrionModel that they belong to; older news of an object than is known is ignored.

    May be used by any number of threads. Objects that it returned must not be changed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: dict[Key, Object] = {}
        self._owned: dict[Key, dict[tuple[str, str], SeenObject]] = {}
        self._nodes: dict[str, Object] = {}
        self._graves: OrderedDict[str, int] = OrderedDict()

    def put(self, kind: Kind, thing: Object, settled: str | None = None, plan: PlanSummary | None = None) -> Key | None:
        """Take in an object as it is now; returns the key of the model to look at, None where nothing is new.

        `settled` is the digest of the manifest that was just applied and that this is the server's answer to, and
        `plan` what was read in it.
        """
        key = key_of(kind, thing)
        if key is None:
            return None
        with self._lock:
            return self._put(kind, key, thing, settled, plan)

    def remove(self, kind: Kind, thing: Object) -> Key | None:
        """Take in that an object is gone; returns the key of the model to look at."""
        key = key_of(kind, thing)
        if key is None:
            return None
        with self._lock:
            return self._remove(kind, key, thing)

    def keep(self, kind: Kind, namespace: str, listed: Container[tuple[Key, str] | None], version: int) -> set[Key]:
        """Drop what is not listed, by key and uid, of one namespace or ("") of all at a resource version.

        Returns the keys of the models to look at.
        """
        with self._lock:
            # What came to be after the list is none of its business.
            gone = [
                (key, thing)
                for key, thing in self._all(kind, namespace)
                if (key, thing["metadata"]["uid"]) not in listed and version_of(thing) <= version
            ]
            changed = {self._remove(kind, key, thing) for key, thing in gone}
        return {key for key in changed if key is not None}

    def put_nodes(self, nodes: Iterable[Object]) -> bool:
        """Take in the list of nodes; returns whether anything that matters changed."""
        found = {node["metadata"]["name"]: node for node in nodes}
        with self._lock:
            before, self._nodes = self._nodes, found
            return before != found

    def put_node(self, node: Object) -> bool:
        """Take in one node; returns whether anything that matters changed."""
        with self._lock:
            before = self._nodes.get(node["metadata"]["name"])
            self._nodes[node["metadata"]["name"]] = node
            return before != node

    def remove_node(self, name: str) -> bool:
        """Take in that a node is gone."""
        with self._lock:
            return self._nodes.pop(name, None) is not None

    def model(self, key: Key) -> Object | None:
        """The ChrionModel of a key."""
        with self._lock:
            return self._models.get(key)

    def owned(self, key: Key) -> dict[tuple[str, str], SeenObject]:
        """All objects of a model, by kind and name."""
        with self._lock:
            return dict(self._owned.get(key, ()))

    def nodes(self) -> tuple[Object, ...]:
        """All nodes, by name."""
        with self._lock:
            return tuple(self._nodes[name] for name in sorted(self._nodes))

    def models(self) -> tuple[Key, ...]:
        """The keys of all models."""
        with self._lock:
            return tuple(self._models)

    def forget(self, key: Key) -> None:
        """Drop a model that is no more. What it owned goes as the server deletes it."""
        with self._lock:
            self._models.pop(key, None)

    def _put(
        self, kind: Kind, key: Key, thing: Object, settled: str | None = None, plan: PlanSummary | None = None
    ) -> Key | None:
        if version_of(thing) <= self._graves.get(thing["metadata"]["uid"], -1):
            return None
        if kind is MODEL:
            if (known := self._models.get(key)) is not None and version_of(thing) <= version_of(known):
                return None
            self._models[key] = trim_model(thing)
            return key
        mine = self._owned.setdefault(key, {})
        place = (kind.name, thing["metadata"]["name"])
        before = mine.get(place)
        news = before is None or version_of(thing) > version_of(before.object)
        seen = trim(kind, thing, before) if before is None or news else before
        if settled is not None and version_of(thing) == version_of(seen.object):
            seen = replace(seen, settled=settled)
        if plan is not None and seen.plan is not None and seen.plan.written == plan.written:
            seen = replace(seen, plan=plan)
        mine[place] = seen
        return key if news else None

    def _remove(self, kind: Kind, key: Key, thing: Object) -> Key | None:
        self._graves[thing["metadata"]["uid"]] = version_of(thing)
        while len(self._graves) > GRAVES:
            self._graves.popitem(last=False)
        name, uid = thing["metadata"]["name"], thing["metadata"]["uid"]
        if kind is MODEL:
            if key in self._models and self._models[key]["metadata"]["uid"] == uid:
                del self._models[key]
            return key
        mine = self._owned.get(key, {})
        before = mine.get((kind.name, name))
        if before is None or before.object["metadata"]["uid"] != uid:
            return None
        del mine[kind.name, name]
        if not mine:
            del self._owned[key]
        return key

    def _all(self, kind: Kind, namespace: str) -> list[tuple[Key, Object]]:
        if kind is MODEL:
            found = list(self._models.items())
        else:
            found = [
                (key, seen.object)
                for key, mine in self._owned.items()
                for (name, _), seen in mine.items()
                if name == kind.name
            ]
        return [(key, thing) for key, thing in found if not namespace or key.namespace == namespace]


def key_of(kind: Kind, thing: Object) -> Key | None:
    """The model that an object is, is owned by or, of what others made for it, bears the label of; else None.

    What models share is of none of them.
    """
    metadata = thing["metadata"]
    if kind is MODEL:
        return Key(metadata["namespace"], label_value(metadata["name"]))
    for owner in metadata.get("ownerReferences") or ():
        if owner["kind"] == MODEL.name and owner.get("controller") is not False:
            return Key(metadata["namespace"], label_value(owner["name"]))
    label = (metadata.get("labels") or {}).get(MODEL_LABEL)
    return Key(metadata["namespace"], label) if label else None


def place_of(kind: Kind, thing: Object) -> tuple[Key, str] | None:
    """The key and the uid by which an object is kept; None where it is not."""
    try:
        key = key_of(kind, thing)
        return (key, thing["metadata"]["uid"]) if key is not None else None
    except (KeyError, TypeError, AttributeError):
        return None


def version_of(thing: Object) -> int:
    """The resource version. Servers have always counted them, and since 1.35 promise to."""
    return int(thing["metadata"]["resourceVersion"])
