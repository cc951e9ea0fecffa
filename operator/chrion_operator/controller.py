"""Looks at one ChrionModel at a time: observes, has it decided what to write, writes it."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http import HTTPStatus

from chrion_api import ChrionModelSpec, InvalidField, Reason
from chrion_operator.cluster.api import Api, Listing
from chrion_operator.cluster.discovery import owned_kinds
from chrion_operator.cluster.errors import ApiConflict, ApiError, ApiNotFound, ApiUnavailable
from chrion_operator.cluster.events import Recorder
from chrion_operator.cluster.kinds import CONFIG_MAP, MODEL, NODE, POD, Kind, kind_of
from chrion_operator.cluster.left_out import LeftOut
from chrion_operator.cluster.metrics import APPLIED, FAULTS, RECONCILE_SECONDS, RECONCILES
from chrion_operator.cluster.pods import Target, target_of
from chrion_operator.cluster.queue import WorkQueue
from chrion_operator.cluster.store import Store, place_of
from chrion_operator.cluster.trim import trim_node
from chrion_operator.cluster.writer import patch, share, write
from chrion_operator.errors import LeftOver, NotOurs, OperatorError, UnservablePlan
from chrion_operator.manifests import Server, frontier_configmap
from chrion_operator.names import Object
from chrion_operator.nodes import gpu_holders
from chrion_operator.plans import read_plan
from chrion_operator.reconcile import Decision, Key, Observed, PodAnswer, SeenObject, WriteRefusal, decide
from chrion_operator.reconcile.contains import digest
from chrion_operator.reconcile.observed import Copy
from chrion_operator.reconcile.ownership import is_owned, ours
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
        self.queue = WorkQueue[Key](lambda key: key.namespace, at_once=max(1, settings.workers - 1))
        self._left_out = LeftOut()
        self.answers: Callable[[Key], Mapping[str, PodAnswer]] = lambda _: {}
        self._api, self._settings, self._server = api, settings, server
        self._kinds = {kind.name: kind for kind in owned_kinds(server)}
        self._recorder = Recorder(api, identity)
        self._holders: dict[str, tuple[str, ...]] = {}
        self._holders_at = -HOLDERS_SECONDS
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
            mine = ours(self.store.owned(key), model["metadata"]["uid"])
            for (kind, _), seen in mine.items():
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
        """Look at one model; returns whether all went well. Never raises: no model ends the worker of all others."""
        started = time.monotonic()
        try:
            result = self._outcome(key)
        except Exception:
            log.exception("%s/%s: cannot be reconciled; trying again later", *key)
            FAULTS.labels(where="worker").inc()
            result = "error"
        RECONCILES.labels(result=result).inc()
        RECONCILE_SECONDS.observe(time.monotonic() - started)
        return result == "ok"

    def _outcome(self, key: Key) -> str:
        try:
            return "ok" if self.reconcile(key) else "refused"
        except ApiConflict as error:
            log.info("%s/%s: %s; trying again", *key, error)
            self._refresh(key)
            return "conflict"
        except (ApiNotFound, ApiUnavailable) as error:
            log.info("%s/%s: %s; trying again", *key, error)
            return "unavailable"

    def reconcile(self, key: Key) -> bool:
        """Look at one model until there is nothing to write; returns whether the server took all of it.

        Raises ApiError where the server cannot be reached or somebody else changed the model meanwhile.
        """
        confirmed = False
        refusals: list[WriteRefusal] = []
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
                refusals = self._write(key, model, observed, decision)
                continue
            for event in decision.events:
                self._recorder.tell(model, event)
            if decision.status is not None:
                self._patch_status(model, decision.status)
            if decision.again_after is not None:
                self.queue.add(key, decision.again_after)
            return not refusals
        log.warning("%s/%s: not settled after %d rounds; trying again later", *key, ROUNDS)
        return False

    def _observe(self, key: Key, model: Object, refusals: tuple[WriteRefusal, ...]) -> Observed:
        self._read_plans(key, model)
        mine = ours(self.store.owned(key), model["metadata"]["uid"])
        spec = _spec(model)
        return Observed(
            objects=mine,
            nodes=self.store.nodes() if self._settings.read_nodes else None,
            answers=self.answers(key),
            reference=self._reference(key.namespace, spec) if spec is not None else None,
            holders=self._who_holds(mine, spec.devices.gpu_resource) if spec is not None else (),
            refusals=refusals,
        )

    def _read_plans(self, key: Key, model: Object) -> None:
        """Read the model's own plans that are new; watches leave them unread, whoever wrote them."""
        for (_, name), seen in ours(self.store.owned(key), model["metadata"]["uid"]).items():
            if seen.plan is not None and seen.plan.unread:
                with suppress(ApiNotFound):
                    there = self._api.get(CONFIG_MAP, key.namespace, name)
                    self.store.put(CONFIG_MAP, there, plan=summarise(there))

    def _reference(self, namespace: str, spec: ChrionModelSpec) -> PlanSummary | None:
        if spec.plan_ref is None:
            return None
        try:
            return summarise(self._api.get(CONFIG_MAP, namespace, spec.plan_ref.name))
        except ApiNotFound:
            return None

    def _who_holds(self, mine: Mapping[tuple[str, str], SeenObject], resource: str) -> tuple[str, ...]:
        """The pods that hold the model's GPU resource, where one of its own waits for it."""
        waiting = any(
            kind == POD.name and resource in str(condition.get("message", ""))
            for (kind, _), seen in mine.items()
            for condition in seen.object.get("status", {}).get("conditions", ())
            if condition["type"] == "PodScheduled" and condition["status"] == "False"
        )
        if not resource or not waiting:
            return ()
        with self._holders_lock:
            # One list for all: the resources are named by whoever writes a spec.
            if time.monotonic() - self._holders_at >= HOLDERS_SECONDS:
                self._holders = gpu_holders(
                    pod
                    for namespace in self._settings.namespaces or ("",)
                    for pod in self._api.list(POD, namespace, fields="spec.nodeName!=")
                )
                self._holders_at = time.monotonic()
            return self._holders.get(resource, ())

    def _write(self, key: Key, model: Object, observed: Observed, decision: Decision) -> list[WriteRefusal]:
        """Write what was decided; returns what could not be written.

        After an object of a name that somebody else holds nothing more is written: a Job must not run with an account,
        nor a pod mount a ConfigMap, that is not the model's own.
        """
        refused: list[WriteRefusal] = []
        for manifest in decision.share:
            with self._refusals(f"{manifest['kind']} {manifest['metadata']['name']}", refused):
                share(self._api, manifest)
        if any(refusal.reason in (Reason.NOT_OURS, Reason.LEFT_OVER) for refusal in refused):
            return refused
        copies = filter(None, (self._copied(key, model, copy) for copy in decision.copy))
        for manifest in (*decision.apply, *copies):
            kind, name = kind_of(manifest), manifest["metadata"]["name"]
            with self._refusals(f"{kind.name} {name}", refused):
                made = write(self._api, manifest, model, known=observed.get(kind.name, name) is not None)
                self.store.put(kind, made, settled=digest(manifest))
                APPLIED.labels(verb="apply", kind=kind.name).inc()
            if refused and refused[-1].reason in (Reason.NOT_OURS, Reason.LEFT_OVER):
                return refused
        for change in decision.patch:
            kind = self._kinds[change.kind]
            with self._refusals(f"{kind.name} {change.name}", refused), suppress(ApiNotFound):
                self.store.put(kind, patch(self._api, kind, key.namespace, change))
                APPLIED.labels(verb="patch", kind=kind.name).inc()
        for delete in decision.delete:
            kind = self._kinds[delete.kind]
            with self._refusals(f"{kind.name} {delete.name}", refused):
                left = self._api.delete(kind, key.namespace, delete.name, delete.uid)
                if left is not None:
                    self.store.put(kind, left)
                elif (seen := observed.get(delete.kind, delete.name)) is not None:
                    self.store.remove(kind, seen.object)
                APPLIED.labels(verb="delete", kind=kind.name).inc()
        return refused

    @contextmanager
    def _refusals(self, subject: str, refused: list[WriteRefusal]) -> Iterator[None]:
        """Collects why an object was not written, so that the others are written all the same."""
        try:
            yield
        except (ApiNotFound, ApiConflict, ApiUnavailable):
            raise
        except (ApiError, NotOurs, LeftOver) as error:
            log.warning("%s was rejected: %s", subject, error)
            refused.append(WriteRefusal(subject, _reason(error), str(error)))

    def _copied(self, key: Key, model: Object, copy: Copy) -> Object | None:
        try:
            source = self._api.get(CONFIG_MAP, key.namespace, copy.source)
            if not copy.reference and not is_owned(source, model["metadata"]["uid"]):
                return None
            plan = read_plan(source)
        except (ApiNotFound, UnservablePlan) as error:
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
        """Read the model again; returns whether it was known as it is."""
        known = self.store.model(key)
        if known is None:
            return False
        try:
            there = self._api.get(MODEL, key.namespace, known["metadata"]["name"])
        except ApiNotFound:
            self.store.forget(key)
            return False
        except ApiUnavailable:
            return False
        return self.store.put(MODEL, there) is None


def _spec(model: Object) -> ChrionModelSpec | None:
    """The spec, where it can be used: nothing is asked for by a name that stands in any other."""
    try:
        return ChrionModelSpec.parse(model.get("spec"), "spec")
    except InvalidField:
        return None


def _reason(error: OperatorError) -> Reason:
    if isinstance(error, NotOurs):
        return Reason.NOT_OURS
    if isinstance(error, LeftOver):
        return Reason.LEFT_OVER
    invalid = isinstance(error, ApiError) and error.code in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
    return Reason.INVALID_SPEC if invalid else Reason.REFUSED_BY_SERVER
