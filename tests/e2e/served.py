"""A ChrionModel under test: applied, waited for, asked, and looked at through its pods."""

import http.client
import json
from collections.abc import Mapping
from typing import Any

from tests.support.cluster import Cluster, Object
from tests.support.waiting import wait_until

OWNED_KINDS = (
    "ConfigMap",
    "Deployment",
    "Job",
    "Pod",
    "ReplicaSet",
    "Role",
    "RoleBinding",
    "Service",
    "ServiceAccount",
)

SMALL_SHAPE = (8, 2, 16)
SMALL_INPUTS = [{"name": "input", "shape": [*SMALL_SHAPE]}]
"""Of the small models that tests generate."""

ONE_LANE = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "128Mi"}}
"""One lane to each pod, and room for several of them on a small machine."""

PLANNING = 240.0
"""Seconds that waiting for a plan may take."""


class Served:
    """One ChrionModel and what the operator has made of it."""

    def __init__(self, cluster: Cluster, namespace: str, name: str, uri: str, **spec: Any) -> None:
        self.cluster, self.namespace, self.name = cluster, namespace, name
        self.spec: Object = {
            "model": {"uri": uri},
            "runtime": {"resources": ONE_LANE},
            **spec,
        }

    def apply(self) -> Object:
        """Apply it as its `spec` is now."""
        return self.cluster.create_or_merge(
            {
                "apiVersion": "chrion.dev/v1alpha1",
                "kind": "ChrionModel",
                "metadata": {"name": self.name, "namespace": self.namespace},
                "spec": self.spec,
            }
        )

    def delete(self) -> None:
        """Delete it, and wait until nothing of it is left."""
        self.cluster.delete("ChrionModel", self.name, self.namespace)
        wait_until(lambda: not self.owned(), f"the going of all that {self.name} had", deadline=PLANNING)

    def owned(self) -> list[str]:
        """All there is of it in the cluster, as KIND/NAME."""
        selector = f"chrion.dev/model={self.name}"
        return [
            f"{kind}/{found['metadata']['name']}"
            for kind in OWNED_KINDS
            for found in self.cluster.list(kind, self.namespace, selector)
        ]

    def object(self) -> Object:
        """The ChrionModel as the API server has it."""
        found = self.cluster.get("ChrionModel", self.name, self.namespace)
        assert found is not None
        return found

    def condition(self, kind: str) -> Object:
        """One of its conditions; empty where it is not there or was said of an earlier spec."""
        model = self.object()
        status = model.get("status") or {}
        if status.get("observedGeneration") != model["metadata"]["generation"]:
            return {}
        return next((one for one in status.get("conditions", ()) if one["type"] == kind), {})

    def wait_for(self, kind: str, status: str = "True", reason: str | None = None, words: str = "") -> Object:
        """Its condition, once it has that status and reason and says these words of its present spec."""

        def probe() -> Object | None:
            now = self.condition(kind)
            right = now.get("status") == status and reason in (None, now["reason"]) and words in now.get("message", "")
            return now if right else None

        what = f"{self.name}: {kind}={status} {reason or ''} {words}"
        try:
            found = wait_until(probe, what, deadline=PLANNING)
        except BaseException:
            print(self.story())
            raise
        assert found
        return found

    def story(self) -> str:
        """What a person would look at where something went wrong."""
        events = [
            f"{event['lastTimestamp']} {event['reason']}: {event['message']}"
            for event in self.cluster.list("Event", self.namespace)
            if event["involvedObject"]["name"].startswith(self.name)
        ]
        return "\n".join([json.dumps(self.object().get("status"), indent=1), *sorted(events)])

    def service_ip(self) -> str:
        """The address of its Service, once it answers on port 80.

        Pods are ready before kube-proxy has told the node's network so; until then connections are refused or find no
        way to the host.
        """
        service = self.cluster.get("Service", self.name, self.namespace)
        assert service is not None
        address = str(service["spec"]["clusterIP"])
        wait_until(lambda: ask(address, "/v2/health/live"), f"{self.name}: its Service leads to a pod", ignore=OSError)
        return address

    def pods(self) -> list[Object]:
        """Its runtime pods that are not on their way out."""
        return [pod for pod in self.all_pods() if not pod["metadata"].get("deletionTimestamp")]

    def all_pods(self) -> list[Object]:
        """Its runtime pods."""
        selector = f"chrion.dev/model={self.name},app.kubernetes.io/component=runtime"
        return self.cluster.list("Pod", self.namespace, selector)

    def plan_of(self, pod: Mapping[str, Any]) -> Object:
        """The plan that a pod says it uses, and why."""
        return ask(pod["status"]["podIP"], f"/v2/models/{self.name}/plan", port=8000)


def ask(host: str, path: str, port: int = 80) -> Object:
    """What a GET answers, as JSON."""
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        connection.request("GET", path)
        answer: Object = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return answer
