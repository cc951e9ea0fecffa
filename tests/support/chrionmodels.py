"""ChrionModels on a real server: to write them, to see what is said of them, and to play the kubelet for them."""

from collections.abc import Mapping
from typing import Any

from tests.support.cluster import Cluster, Object
from tests.support.planner_job import PLAN, PlannerJob, now

OWNED = ("ConfigMap", "Deployment", "Job", "Role", "RoleBinding", "Service", "ServiceAccount")
"""The kinds of objects that a model without a node consists of."""


class Model:
    """One ChrionModel in a namespace."""

    def __init__(self, cluster: Cluster, namespace: str, name: str = "nsnet2") -> None:
        self.cluster, self.namespace, self.name = cluster, namespace, name
        self.planner = PlannerJob(cluster, namespace, name)
        self._spec: Object = {"model": {"uri": "https://models.example/a.onnx"}}

    def apply(self, **spec: Any) -> None:
        """Write it, with these fields beside those that were written before."""
        self._spec = {**self._spec, **spec}
        manifest = {
            "apiVersion": "chrion.dev/v1alpha1",
            "kind": "ChrionModel",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": self._spec,
        }
        self.cluster.apply(manifest)

    def annotate(self, **annotations: str) -> None:
        body = {"metadata": {"annotations": {f"chrion.dev/{name}": value for name, value in annotations.items()}}}
        self.cluster.patch("ChrionModel", self.name, self.namespace, body)

    def hand_in(self, plan: str = PLAN) -> str:
        """Play the planner of the spec as it is now; returns the revision."""

        def seen(model: Object) -> bool:
            observed = model.get("status", {}).get("observedGeneration")
            return bool(observed == model["metadata"]["generation"])

        self.cluster.wait_for("ChrionModel", self.name, self.namespace, seen, "being seen as it is now")
        return self.planner.hand_in(plan)

    def delete(self) -> None:
        self.cluster.delete("ChrionModel", self.name, self.namespace)

    def read(self) -> Object:
        found = self.cluster.get("ChrionModel", self.name, self.namespace)
        assert found is not None
        return found

    def conditions(self) -> Mapping[str, Object]:
        """Its conditions by type."""
        return conditions(self.read())

    def wait_for(self, condition: str, status: str, reason: str | None = None) -> Object:
        """The condition, as soon as it is of this status and reason, said of the spec as it is now."""

        def holds(model: Object) -> bool:
            found = conditions(model).get(condition, {})
            current = found.get("observedGeneration") == model["metadata"]["generation"]
            return current and found["status"] == status and reason in (None, found["reason"])

        what = f"{condition}={status} {reason or ''}"
        return conditions(self.cluster.wait_for("ChrionModel", self.name, self.namespace, holds, what))[condition]

    def owned(self, kind: str, component: str = "") -> list[Object]:
        """Its objects of a kind."""
        selector = f"chrion.dev/model={self.name}"
        if component:
            selector += f",app.kubernetes.io/component={component}"
        return self.cluster.list(kind, self.namespace, selector)

    def deployment(self) -> Object:
        (found,) = self.owned("Deployment")
        return found

    def serve(self) -> None:
        """Bring its replicas up as a kubelet would, as far as the control plane can see."""
        for pod in self.owned("Pod", "runtime"):
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": now()}
            status = {"phase": "Running", "conditions": [ready], "podIP": "127.0.0.1"}
            self.cluster.patch("Pod", pod["metadata"]["name"], self.namespace, {"status": status}, status=True)

    def events(self) -> list[Object]:
        """What `kubectl describe` shows."""
        return [
            event
            for event in self.cluster.list("Event", self.namespace)
            if event["involvedObject"]["kind"] == "ChrionModel" and event["involvedObject"]["name"] == self.name
        ]

    def state(self) -> Object:
        """All that there is of it, without what differs from one making to the next."""
        found: Object = {kind: {one["metadata"]["name"]: _substance(one) for one in self.owned(kind)} for kind in OWNED}
        said = self.conditions()
        found["conditions"] = {name: (one["status"], one["reason"], one["message"]) for name, one in said.items()}
        return found


def conditions(model: Object) -> dict[str, Object]:
    """A model's conditions by type."""
    return {condition["type"]: condition for condition in model.get("status", {}).get("conditions", ())}


def _substance(thing: Object) -> Object:
    kept: Object = {"labels": thing["metadata"]["labels"], "data": thing.get("data")}
    if thing["kind"] == "Deployment":
        kept["spec"] = thing["spec"]
    return kept
