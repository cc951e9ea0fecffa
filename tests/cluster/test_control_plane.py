"""The control plane that the other tests stand on is real: it keeps what it is told, owns, cascades, and restarts."""

from collections.abc import Callable

from tests.support.cluster import Cluster
from tests.support.waiting import wait_until


def configmap(namespace: str, name: str, **metadata: object) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "data": {"key": "value"},
    }


def test_an_owned_object_goes_with_its_owner(control_plane: Cluster, namespace: str) -> None:
    owner = control_plane.apply(configmap(namespace, "owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    control_plane.apply(configmap(namespace, "owned", ownerReferences=[reference]))
    control_plane.delete("ConfigMap", "owner", namespace)
    wait_until(lambda: control_plane.get("ConfigMap", "owned", namespace) is None, "the owned object's going")


def test_the_api_server_restarts_and_has_lost_nothing(control_plane: Cluster, namespace: str) -> None:
    kept = control_plane.apply(configmap(namespace, "kept"))
    control_plane.restart_api_server()
    found = control_plane.get("ConfigMap", "kept", namespace)
    assert found is not None
    assert found["metadata"]["uid"] == kept["metadata"]["uid"]


def test_namespaces_are_apart(control_plane: Cluster, make_namespace: Callable[[], str]) -> None:
    one, other = make_namespace(), make_namespace()
    control_plane.apply(configmap(one, "here"))
    assert control_plane.get("ConfigMap", "here", one)
    assert control_plane.get("ConfigMap", "here", other) is None
