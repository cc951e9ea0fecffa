"""Looks at one ChrionModel at a time: observes, has it decided what to write, writes it."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from chrion_operator.cluster.api import Api, Listing
from chrion_operator.cluster.discovery import owned_kinds
from chrion_operator.cluster.errors import ApiError, Conflict, NotFound, Unavailable
from chrion_operator.cluster.events import Recorder
from chrion_operator.cluster.kinds import CONFIG_MAP, MODEL, NODE, POD, Kind, kind_of
from chrion_operator.cluster.left_out import LeftOut
from chrion_operator.cluster.metrics import APPLIED, RECONCILE_SECONDS, RECONCILES
from chrion_operator.cluster.pods import Target, target_of
from chrion_operator.cluster.queue import WorkQueue
from chrion_operator.cluster.store import Store, place_of
from chrion_operator.cluster.trim import owners, trim_node
from chrion_operator.errors import PlanRefused
from chrion_operator.manifests import Server, frontier_configmap
from chrion_operator.names import Object
from chrion_operator.nodes import gpu_holders
from chrion_operator.plans import read_plan
from chrion_operator.reconcile import Answer, Decision, Key, Observed, Refusal, decide
from chrion_operator.reconcile.contains import digest
from chrion_operator.reconcile.observed import Copy
from chrion_operator.reconcile.serving import is_ready
from chrion_operator.reconcile.summary import PlanSummary, summarise
from chrion_operator.settings import Settings

log = logging.getLogger(__name__)

ROUNDS = 8
"""Decisions in one look, each made from what the one before has written; the longest way takes four."""
HOLDERS_SECONDS = 20.0
"""How long a list of who holds GPUs is good for."""


class Controller:
    """What is known, the queue of models to look at, and the one function that looks."""

    def __init__(self, api: Api, settings: Settings, server: Server, identity: str) -> None:
        self.store = Store()
        self._left_out = LeftOut()
        self.queue: WorkQueue[Key] = WorkQueue()
        self.answers: Callable[[Key], Mapping[str, Answer]] = lambda _: {}
        self._api, self._settings, self._server = api, settings, server
        self._kinds = {kind.name: kind for kind in owned_kinds(server)}
        self._recorder = Recorder(api, identity)
        self._holders: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._holders_lock = threading.Lock()

    # What informers tell.

    def listed(self, kind: Kind, namespace: str, things: Listing) -> None:
        """All objects of a kind there are."""
        if kind is NODE:
            if self.store.put_nodes(map(trim_node, things)):
                self.look_at_all()
            return
        there = set()
        for thing in things:
            self.happened(kind, "ADDED", thing)
            there.add(place_of(kind, thing))
        for key in self.store.keep(kind, namespace, there, int(things.version)):
            self.queue.add(key)

    def happened(self, kind: Kind, event: str, thing: Object) -> None:
        """An object was ADDED, MODIFIED or DELETED. One that nobody expected is left out, and the others go on."""
        try:
            self._take(kind, event, thing)
        except Exception as error:  # noqa: BLE001, whatever it is, it is this object's
            self._left_out.tell(kind, thing, error)

    def _take(self, kind: Kind, event: str, thing: Object) -> None:
        if kind is NODE:
            gone = event == "DELETED"
            if self.store.remove_node(thing["metadata"]["name"]) if gone else self.store.put_node(trim_node(thing)):
                self.look_at_all()
            return
        key = self.store.remove(kind, thing) if event == "DELETED" else self.store.put(kind, thing)
        if key is not None:
            self.queue.add(key)

    def look_at_all(self) -> None:
        """Have every model looked at."""
        for key in self.store.models():
            self.queue.add(key)

    def targets(self) -> Iterator[Target]:
        """The ready runtime pods of all models."""
        for key in self.store.models():
            model = self.store.model(key)
            if model is None:
                continue
            for (kind, _), seen in self.store.owned(key).items():
                if kind == POD.name and is_ready(seen.object):
                    target = target_of(key, model, seen.object)
                    if target is not None:
                        yield target

    # The look.

    def work(self, may: Callable[[float], bool]) -> None:
        """Look at models as they are due, while `may(seconds)` says, having waited that long at most, that we may."""
        while True:
            if not may(1.0):
                continue
            key = self.queue.get()
            if key is None:
                return
            if not may(0.0):
                self.queue.done(key)
                self.queue.add(key)
                continue
            self.queue.done(key, failed=not self._look(key))

    def _look(self, key: Key) -> bool:
        started = time.monotonic()
        try:
            result = "ok" if self.reconcile(key) else "refused"
        except Conflict as error:
            log.info("%s/%s: %s; looking again", *key, error)
            self._refresh(key)
            result = "conflict"
        except (NotFound, Unavailable) as error:
            log.info("%s/%s: %s; looking again", *key, error)
            result = "unavailable"
        except Exception:
            log.exception("%s/%s: cannot be reconciled", *key)
            result = "error"
        RECONCILES.labels(result=result).inc()
        RECONCILE_SECONDS.observe(time.monotonic() - started)
        return result == "ok"

    def reconcile(self, key: Key) -> bool:
        """Look at one model until there is nothing to write; returns whether the server took all of it.

        Raises ApiError where the server cannot be reached or somebody else changed the model meanwhile.
        """
        confirmed = False
        refusals: list[Refusal] = []
        for _ in range(ROUNDS):
            model = self.store.model(key)
            if model is None or "deletionTimestamp" in model["metadata"]:
                return True
            observed = self._observe(key, model, tuple(refusals))
            decision = decide(model, observed, self._settings, self._server, datetime.now(UTC))
            if decision.writes and not confirmed and not refusals:
                # News of a model's end may be late, and nothing shall be made for one that is no more.
                confirmed = True
                if not self._refresh(key):
                    continue
            if decision.writes and not refusals:
                refusals = self._write(key, model, decision)
                continue
            for event in decision.events:
                self._recorder.tell(model, event)
            if decision.status is not None:
                self._patch_status(model, decision.status)
            if decision.again_after is not None:
                self.queue.add(key, decision.again_after)
            return not refusals
        log.warning("%s/%s: still not as it should be after %d rounds", *key, ROUNDS)
        return False

    def _observe(self, key: Key, model: Object, refusals: tuple[Refusal, ...]) -> Observed:
        spec = model["spec"] if isinstance(model.get("spec"), dict) else {}
        nodes = self.store.nodes() if self._settings.read_nodes else None
        self._read_plans(key, model)
        return Observed(
            objects=self.store.owned(key),
            nodes=nodes,
            answers=self.answers(key),
            reference=self._reference(key.namespace, spec),
            holders=self._who_holds(key, spec),
            refusals=refusals,
        )

    def _read_plans(self, key: Key, model: Object) -> None:
        """Read the model's own plans that are new; watches leave them unread, whoever wrote them."""
        for (_, name), seen in self.store.owned(key).items():
            uids = {owner["uid"] for owner in owners(seen.object["metadata"])}
            if seen.plan is None or not seen.plan.unread or model["metadata"]["uid"] not in uids:
                continue
            with suppress(NotFound):
                there = self._api.get(CONFIG_MAP, key.namespace, name)
                self.store.put(CONFIG_MAP, there, plan=summarise(there))

    def _reference(self, namespace: str, spec: Object) -> PlanSummary | None:
        name = (spec.get("planRef") or {}).get("name")
        if not name:
            return None
        try:
            return summarise(self._api.get(CONFIG_MAP, namespace, name))
        except NotFound:
            return None

    def _who_holds(self, key: Key, spec: Object) -> tuple[str, ...]:
        """The pods that hold the model's GPU resource, where one of its own waits for it."""
        resource = (spec.get("devices") or {}).get("gpuResource", "nvidia.com/gpu")
        waiting = any(
            kind == POD.name and resource in str(condition.get("message", ""))
            for (kind, _), seen in self.store.owned(key).items()
            for condition in seen.object.get("status", {}).get("conditions", ())
            if condition["type"] == "PodScheduled" and condition["status"] == "False"
        )
        if not resource or not waiting:
            return ()
        with self._holders_lock:
            at, known = self._holders.get(resource, (-HOLDERS_SECONDS, ()))
            if time.monotonic() - at < HOLDERS_SECONDS:
                return known
            namespaces = self._settings.namespaces or ("",)
            pods = [pod for namespace in namespaces for pod in self._api.list(POD, namespace, fields="spec.nodeName!=")]
            holders = gpu_holders(resource, pods)
            self._holders[resource] = time.monotonic(), holders
            return holders

    def _write(self, key: Key, model: Object, decision: Decision) -> list[Refusal]:
        """Write what was decided; returns what the server refused."""
        refused: list[Refusal] = []
        owned = self.store.owned(key)
        copies = filter(None, (self._copied(key, model, copy) for copy in decision.copy))
        for manifest in (*decision.apply, *copies):
            kind, name = kind_of(manifest), manifest["metadata"]["name"]
            with self._refusals(f"{kind.name} {name}", refused):
                made = self._apply(kind, manifest, model, known=(kind.name, name) in owned)
                self.store.put(kind, made, settled=digest(manifest))
                APPLIED.labels(verb="apply", kind=kind.name).inc()
        for patch in decision.patch:
            kind = self._kinds[patch.kind]
            with self._refusals(f"{kind.name} {patch.name}", refused), suppress(NotFound):
                self.store.put(kind, self._api.patch(kind, key.namespace, patch.name, patch.body))
                APPLIED.labels(verb="patch", kind=kind.name).inc()
        for delete in decision.delete:
            kind = self._kinds[delete.kind]
            with self._refusals(f"{kind.name} {delete.name}", refused):
                left = self._api.delete(kind, key.namespace, delete.name, delete.uid)
                if left is not None:
                    self.store.put(kind, left)
                elif (seen := owned.get((delete.kind, delete.name))) is not None:
                    self.store.remove(kind, seen.object)
                APPLIED.labels(verb="delete", kind=kind.name).inc()
        return refused

    def _apply(self, kind: Kind, manifest: Object, model: Object, *, known: bool) -> Object:
        # What is not known to be ours is not taken by force: somebody else may have an object of that name.
        try:
            return self._api.apply(manifest, force=known)
        except Conflict as error:
            if known or not self._is_ours(kind, manifest, model):
                text = f"an object of this name exists and is not of this ChrionModel; rename one of the two: {error}"
                raise Conflict(text, error.code) from None
            return self._api.apply(manifest, force=True)

    @contextmanager
    def _refusals(self, subject: str, refused: list[Refusal]) -> Iterator[None]:
        """Collects what the server refuses of one object, so that the others are written all the same."""
        try:
            yield
        except (NotFound, Unavailable):
            raise
        except ApiError as error:
            log.warning("%s is refused: %s", subject, error)
            refused.append(Refusal(subject, error.code, str(error)))

    def _is_ours(self, kind: Kind, manifest: Object, model: Object) -> bool:
        metadata = manifest["metadata"]
        try:
            there = self._api.get(kind, metadata["namespace"], metadata["name"])
        except NotFound:
            return True
        uids = {owner["uid"] for owner in there["metadata"].get("ownerReferences", ())}
        return model["metadata"]["uid"] in uids

    def _copied(self, key: Key, model: Object, copy: Copy) -> Object | None:
        try:
            source = self._api.get(CONFIG_MAP, key.namespace, copy.source)
            plan = read_plan(source)
        except (NotFound, PlanRefused) as error:
            # It changed since it was seen: its news is on the way.
            log.info("%s/%s: %s", *key, error)
            return None
        return frontier_configmap(model, copy.cls, copy.revision, plan)

    def _patch_status(self, model: Object, status: Object) -> None:
        metadata = model["metadata"]
        gone = dict.fromkeys((model.get("status") or {}).keys() - status.keys())
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": {**status, **gone}}
        made = self._api.patch(MODEL, metadata["namespace"], metadata["name"], body, "status")
        self.store.put(MODEL, made)

    def _refresh(self, key: Key) -> bool:
        """Read the model anew; returns whether it was known as it is."""
        known = self.store.model(key)
        if known is None:
            return False
        try:
            there = self._api.get(MODEL, key.namespace, known["metadata"]["name"])
        except NotFound:
            self.store.forget(key)
            return False
        except Unavailable:
            return False
        return self.store.put(MODEL, there) is None
