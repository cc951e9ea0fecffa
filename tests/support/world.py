"""A world for pure decisions: a ChrionModel and its objects in memory, on which decisions are carried out.

It plays the API server (server-side apply as a deep merge), the planner, the kubelet and clumsy people.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from chrion_operator.cluster.kinds import kind_of
from chrion_operator.cluster.trim import trim
from chrion_operator.errors import UnservablePlan
from chrion_operator.manifests import Server, frontier_configmap
from chrion_operator.plans import read_plan
from chrion_operator.reconcile import Decision, Observed, PodAnswer, WriteRefusal, decide
from chrion_operator.reconcile.observed import ModelEvent, SeenObject
from chrion_operator.reconcile.ownership import ours
from chrion_operator.reconcile.summary import summarise
from chrion_operator.settings import Settings
from tests.support.objects import plan_file

Object = dict[str, Any]

MOST_ROUNDS = 8
"""Decisions until there is nothing to write; the controller takes no more at once either."""


class World:
    """One ChrionModel in a namespace, and everything that belongs to it."""

    def __init__(self, server: Server | None = None, settings: Settings | None = None, **spec: Any) -> None:
        self.server, self.settings = server or Server(minor=33), settings or Settings()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self._uids = count(1)
        self.owner: Object = {
            "apiVersion": "chrion.dev/v1alpha1",
            "kind": "ChrionModel",
            "metadata": {"name": "nsnet2", "namespace": "audio", "uid": "model", "generation": 1, "annotations": {}},
            "spec": {"model": {"uri": "https://models.example/nsnet2.onnx"}, "devices": {"gpuResource": ""}, **spec},
        }
        self.objects: dict[tuple[str, str], Object] = {}
        self.nodes: tuple[Object, ...] | None = ()
        self.answers: dict[str, PodAnswer] = {}
        self.holders: tuple[str, ...] = ()
        self.refusals: tuple[WriteRefusal, ...] = ()
        self.others: dict[str, Object] = {}
        """ConfigMaps of other people, by name."""
        self.shared: dict[str, Object] = {}
        """What models share, by name."""
        self.events: list[ModelEvent] = []
        self.again_after: float | None = None

    # Deciding.

    def observed(self) -> Observed:
        name = (self.owner["spec"].get("planRef") or {}).get("name")
        reference = summarise(self.others[name]) if name in self.others else None
        seen = {place: _seen(copy.deepcopy(thing)) for place, thing in self.objects.items()}
        mine = ours(seen, self.owner["metadata"]["uid"])
        return Observed(mine, self.nodes, dict(self.answers), reference, self.holders, self.refusals)

    def decide(self) -> Decision:
        return decide(copy.deepcopy(self.owner), self.observed(), self.settings, self.server, self.now)

    def settle(self) -> Decision:
        """StateTransfer out decisions until there is nothing to do; fails where that does not come."""
        for _ in range(MOST_ROUNDS):
            decision = self.decide()
            if decision.writes:
                self._write(decision)
                continue
            self.events += decision.events
            self.again_after = decision.again_after
            if decision.status is not None:
                self.owner["status"] = decision.status
            return decision
        raise AssertionError(f"still something to do: {self.decide()}")

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.settle()

    def _write(self, decision: Decision) -> None:
        self.shared |= {manifest["metadata"]["name"]: manifest for manifest in decision.share}
        for manifest in decision.apply:
            self._apply(manifest)
        for one in decision.copy:
            source = self.others.get(one.source) or self.objects.get(("ConfigMap", one.source))
            try:
                plan = read_plan(source or {"metadata": {"name": one.source}})
            except UnservablePlan:
                continue
            self._apply(frontier_configmap(self.owner, one.cls, one.revision, plan))
        for patch in decision.patch:
            assert self.objects[patch.kind, patch.name]["metadata"]["uid"] == patch.uid
            _merge(self.objects[patch.kind, patch.name], patch.body)
        for delete in decision.delete:
            if self.objects[delete.kind, delete.name]["metadata"]["uid"] == delete.uid:
                self.remove(delete.kind, delete.name)

    def _apply(self, manifest: Object) -> None:
        place = (manifest["kind"], manifest["metadata"]["name"])
        if place not in self.objects:
            stamp = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
            meta = {
                "uid": f"uid-{next(self._uids)}",
                "creationTimestamp": stamp,
                "resourceVersion": "1",
                "generation": 1,
            }
            self.objects[place] = {"metadata": meta}
        elif manifest["kind"] == "Job":
            raise AssertionError("a Job's template cannot be changed")
        before = copy.deepcopy(self.objects[place].get("spec"))
        self.objects[place].pop("data", None)
        _merge(self.objects[place], copy.deepcopy(manifest))
        if self.objects[place].get("spec") != before:
            self.objects[place]["metadata"]["generation"] += 1

    def remove(self, kind: str, name: str) -> None:
        """Delete an object, and what it owns."""
        gone = self.objects.pop((kind, name))
        uid = gone["metadata"]["uid"]
        for place, thing in [*self.objects.items()]:
            if any(owner["uid"] == uid for owner in thing["metadata"].get("ownerReferences", ())):
                self.remove(*place)

    # Looking.

    def one(self, kind: str, component: str = "") -> Object:
        """The only object of a kind."""
        (found,) = self.all(kind, component)
        return found

    def all(self, kind: str, component: str = "") -> list[Object]:
        return [
            thing
            for (other, _), thing in self.objects.items()
            if other == kind and component in ("", thing["metadata"]["labels"].get("app.kubernetes.io/component"))
        ]

    def condition(self, kind: str) -> tuple[str, str]:
        """Status and reason."""
        found = self._condition(kind)
        return found["status"], found["reason"]

    def message(self, kind: str) -> str:
        return str(self._condition(kind)["message"])

    def since(self, kind: str) -> str:
        return str(self._condition(kind)["lastTransitionTime"])

    def _condition(self, kind: str) -> Mapping[str, Any]:
        (found,) = (one for one in self.owner["status"]["conditions"] if one["type"] == kind)
        return found

    # Others at work.

    def edit(self, **spec: Any) -> None:
        """Edit the spec."""
        self.owner["spec"] = {**self.owner["spec"], **spec}
        self.owner["metadata"]["generation"] += 1
        self.settle()

    def hand_in(self, text: str | None = None) -> None:
        """The planner writes a plan, and its Job ends well."""
        self.write_plan(plan_file().to_json() if text is None else text)
        self.end_job("Complete")
        self.settle()

    def write_plan(self, text: str) -> None:
        for thing in self.all("ConfigMap", "plan"):
            thing["data"] = {"plan.json": text}
            annotations = thing["metadata"]["annotations"]
            annotations["chrion.dev/planned"] = annotations["chrion.dev/revision"]

    def progress(self, percent: int, doing: str) -> None:
        annotations = self.one("ConfigMap", "plan")["metadata"]["annotations"]
        said = {"percent": percent, "doing": doing, "revision": annotations["chrion.dev/revision"]}
        annotations["chrion.dev/progress"] = json.dumps(said)

    def end_job(self, condition: str, reason: str = "") -> None:
        for job in self.all("Job"):
            job["status"] = {
                "conditions": [
                    {
                        "type": condition,
                        "status": "True",
                        "reason": reason,
                        "lastTransitionTime": self.now.isoformat(),
                    }
                ]
            }

    def planner_pod(self, **status: Any) -> None:
        """A pod of the Job, with this status."""
        job = self.one("Job")
        self._pod(job, "planner", {"phase": "Running", **status})

    def planner_fails(self, exit_code: int, container: str = "plan", reason: str = "Error", message: Any = "") -> None:
        """A container of the Job's pod ends."""
        ended = {"exitCode": exit_code, "reason": reason, "finishedAt": self.now.isoformat()}
        ended["message"] = message if isinstance(message, str) else json.dumps(message)
        where = "initContainerStatuses" if container == "fetch" else "containerStatuses"
        self.planner_pod(phase="Failed", **{where: [{"name": container, "state": {"terminated": ended}}]})

    def serve(self) -> None:
        """The kubelet brings up all replicas of all Deployments."""
        for place in [place for place in self.objects if place[0] in ("Pod", "ReplicaSet")]:
            if self.objects[place]["metadata"]["labels"].get("app.kubernetes.io/component") == "runtime":
                del self.objects[place]
        for deployment in self.all("Deployment"):
            replicas = deployment["spec"]["replicas"]
            deployment["status"] = {
                "observedGeneration": deployment["metadata"]["generation"],
                "replicas": replicas,
                "readyReplicas": replicas,
                "updatedReplicas": replicas,
            }
            for _ in range(replicas):
                ready = {"type": "Ready", "status": "True"}
                self._pod(deployment, "runtime", {"phase": "Running", "conditions": [ready], "podIP": "10.0.0.1"})
        self.settle()

    def _pod(self, owner: Object, component: str, status: Object) -> None:
        number = next(self._uids)
        name = f"{owner['metadata']['name']}-{number}"
        self.objects["Pod", name] = {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {
                "name": name,
                "uid": f"uid-{number}",
                "resourceVersion": "1",
                "labels": {**owner["spec"]["template"]["metadata"]["labels"]},
                "ownerReferences": [{"uid": owner["metadata"]["uid"], "controller": True}],
            },
            "spec": {},
            "status": status,
        }
        assert self.objects["Pod", name]["metadata"]["labels"]["app.kubernetes.io/component"] == component


def _seen(thing: Object) -> SeenObject:
    kept = trim(kind_of(thing), thing)
    return kept if kept.plan is None else replace(kept, plan=summarise(thing))


def _merge(there: Object, said: Mapping[str, Any]) -> None:
    for name, value in said.items():
        if isinstance(value, Mapping) and isinstance(there.get(name), dict):
            _merge(there[name], value)
        else:
            there[name] = value


def serving(**spec: object) -> World:
    """A world in which the model serves."""
    world = World(**spec)
    world.settle()
    world.hand_in()
    world.serve()
    assert world.condition("Ready") == ("True", "Succeeded")
    return world
