"""A Kubernetes under test: its objects as plain dicts, and its API server as a process that can be killed."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes.client
import kubernetes.config
import kubernetes.dynamic
import pytest
import urllib3.exceptions
import yaml
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError

from tests.support.waiting import wait_until

Object = dict[str, Any]

API_VERSIONS = {
    "ChrionModel": "chrion.dev/v1alpha1",
    "ClusterRole": "rbac.authorization.k8s.io/v1",
    "ClusterRoleBinding": "rbac.authorization.k8s.io/v1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "Deployment": "apps/v1",
    "Job": "batch/v1",
    "Lease": "coordination.k8s.io/v1",
    "ReplicaSet": "apps/v1",
    "Role": "rbac.authorization.k8s.io/v1",
    "RoleBinding": "rbac.authorization.k8s.io/v1",
}
"""The API versions of kinds that are not in the core's v1."""

FIELD_MANAGER = "tests"


CRDS = Path(__file__).parents[2] / "crds"


def condition(thing: Object, kind: str) -> bool:
    """Whether a condition of an object is True."""
    conditions = (thing.get("status") or {}).get("conditions") or ()
    return any(one["type"] == kind and one["status"] == "True" for one in conditions)


def _established(crd: Object) -> bool:
    return condition(crd, "Established")


class Cluster:
    """A control plane, perhaps with a node, and an administrator's access to it."""

    def __init__(self, kubeconfig: Path, processes: Path | None) -> None:
        """`processes`: the folder with the process ids of its parts, by name; None where the cluster is not ours."""
        self.kubeconfig = kubeconfig
        self.api_client: kubernetes.client.ApiClient = kubernetes.config.new_client_from_config(str(kubeconfig))
        self._processes = processes
        self._client = kubernetes.dynamic.DynamicClient(self.api_client)

    def _resource(self, kind: str) -> Any:
        return self._client.resources.get(api_version=API_VERSIONS.get(kind, "v1"), kind=kind)

    def apply(self, manifest: Mapping[str, Any]) -> Object:
        """Create or change an object by server-side apply, as `kubectl apply --server-side` does."""
        made: Object = (
            self._client.resources.get(api_version=manifest["apiVersion"], kind=manifest["kind"])
            .server_side_apply(
                body=dict(manifest),
                namespace=manifest["metadata"].get("namespace"),
                field_manager=FIELD_MANAGER,
                force_conflicts=True,
            )
            .to_dict()
        )
        return made

    def apply_crds(self) -> None:
        """Apply the definitions in crds/, and wait until the server knows them."""
        for path in sorted(CRDS.glob("*.yaml")):
            for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8")):
                name = self.create_or_merge(manifest)["metadata"]["name"]
                self.wait_for(
                    "CustomResourceDefinition", name, None, lambda crd: condition(crd, "Established"), "known"
                )

    def create_or_merge(self, manifest: Mapping[str, Any]) -> Object:
        """Create or change an object as client-side `kubectl apply` does.

        Server-side apply refuses rules in CEL where the server is older than 1.25, which drops them otherwise, and
        Kubernetes 1.20 takes an empty string for null there.
        """
        kind, metadata = manifest["kind"], manifest["metadata"]
        try:
            made: Object = (
                self._resource(kind).create(body=dict(manifest), namespace=metadata.get("namespace")).to_dict()
            )
        except ConflictError:
            return self.patch(kind, metadata["name"], metadata.get("namespace"), manifest)
        return made

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None where there is none."""
        try:
            found: Object = self._resource(kind).get(name=name, namespace=namespace).to_dict()
        except NotFoundError:
            return None
        return found

    def list(self, kind: str, namespace: str | None = None, selector: str = "") -> list[Object]:
        """All objects of a kind, of one namespace or of all, with the labels that `selector` names."""
        found = self._resource(kind).get(namespace=namespace, label_selector=selector)
        return list(found.to_dict()["items"])

    def events(self, kind: str, namespace: str, selector: str = "") -> Iterator[Object]:
        """What there is of a kind, and then what happens to it, for ever: `type`, and the object as `raw_object`."""
        yield from self._resource(kind).watch(namespace=namespace, label_selector=selector)

    def patch(
        self, kind: str, name: str, namespace: str | None, body: Mapping[str, Any], status: bool = False
    ) -> Object:
        """Merge `body` into an object, or into its status."""
        resource = self._resource(kind)
        patched: Object = (
            (resource.status if status else resource)
            .patch(name=name, namespace=namespace, body=dict(body), content_type="application/merge-patch+json")
            .to_dict()
        )
        return patched

    def delete(self, kind: str, name: str, namespace: str | None = None) -> None:
        """Delete an object, and what it owns in the background, where it exists."""
        try:
            self._resource(kind).delete(name=name, namespace=namespace, body={"propagationPolicy": "Background"})
        except NotFoundError:
            return

    def wait_for(
        self, kind: str, name: str, namespace: str | None, test: Callable[[Object], Any], what: str, **waiting: Any
    ) -> Object:
        """The object, as soon as it exists and passes `test`."""

        def probe() -> Object | None:
            found = self.get(kind, name, namespace)
            return found if found and test(found) else None

        found = wait_until(probe, f"{kind} {name}: {what}", **waiting)
        assert found
        return found

    def kill(self, part: str) -> None:
        """Kill a part (`kube-apiserver`, `etcd`, `kubelet`, …) with SIGKILL, and wait until it was restarted."""
        if self._processes is None:
            pytest.skip(f"{part} cannot be killed in a cluster that is not ours")
        process = self._processes / part
        killed = process.read_text()
        os.kill(int(killed), signal.SIGKILL)
        wait_until(lambda: process.read_text() not in (killed, ""), f"{part}'s being started again")

    def restart_api_server(self) -> None:
        """Kill the API server and wait until a new one is ready."""
        self.kill("kube-apiserver")
        wait_until(self._ready, "the API server's being ready", ignore=(ApiException, urllib3.exceptions.HTTPError))

    def metrics(self) -> str:
        """The API server's own metrics, as Prometheus reads them."""
        return str(self._client.request("get", "/metrics"))

    def _ready(self) -> bool:
        return bool(self._client.request("get", "/readyz") == "ok")
