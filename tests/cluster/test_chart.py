"""The chart on a real API server: installed, upgraded, uninstalled, and what its account may do."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import kubernetes.client
import pytest
import yaml
from kubernetes.dynamic.exceptions import ForbiddenError

from tests.support.chart import CHART, Object
from tests.support.cluster import Cluster
from tests.support.helm import DEFINITION, Release, without_definition
from tests.support.operator import OperatorProcess
from tests.support.waiting import wait_until

WITHOUT_DEFINITION = {"crds": {"install": False}}

OWNED = {"configmaps": "", "services": "", "serviceaccounts": "", "deployments": "apps", "jobs": "batch"}
OWNED |= {"roles": "rbac.authorization.k8s.io", "rolebindings": "rbac.authorization.k8s.io"}
OWNED |= {"poddisruptionbudgets": "policy", "servicemonitors": "monitoring.coreos.com"}

WRITING = ("get", "list", "watch", "create", "patch", "delete")

MINE = [
    *((verb, group, name) for name, group in OWNED.items() for verb in WRITING),
    *((verb, "chrion.dev", "chrionmodels") for verb in ("get", "list", "watch")),
    ("patch", "chrion.dev", "chrionmodels/status"),
    *((verb, "", "pods") for verb in ("get", "list", "watch", "patch")),
    *((verb, "apps", "replicasets") for verb in ("get", "list", "watch")),
    *((verb, "", "events") for verb in ("create", "get", "patch")),
]
"""What the operator may do where it looks after models."""

NOBODYS = [
    *((verb, "", "secrets") for verb in ("get", "list", "watch", "create", "patch", "delete")),
    *((verb, "", "pods") for verb in ("create", "delete", "deletecollection", "update")),
    *(
        (verb, "", name)
        for name in ("pods/exec", "pods/attach", "pods/portforward", "pods/log")
        for verb in ("get", "create")
    ),
    ("create", "", "serviceaccounts/token"),
    ("impersonate", "", "serviceaccounts"),
    *((verb, "chrion.dev", "chrionmodels") for verb in ("create", "update", "patch", "delete", "deletecollection")),
    *((verb, "", "configmaps") for verb in ("update", "deletecollection")),
    *((verb, "rbac.authorization.k8s.io", "roles") for verb in ("bind", "escalate", "update")),
    *((verb, "rbac.authorization.k8s.io", "clusterroles") for verb in ("get", "create", "patch", "bind", "escalate")),
    ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
    *((verb, "", "nodes") for verb in ("patch", "update", "delete")),
    ("get", "", "nodes/proxy"),
    *((verb, "", "namespaces") for verb in ("create", "delete", "patch")),
    ("patch", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("create", "admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    *((verb, "apps", "daemonsets") for verb in ("create", "patch")),
]
"""What it may do nowhere."""


@pytest.fixture
def release(control_plane: Cluster, namespace: str) -> Iterator[Release]:
    """A release that is not installed yet, in the test's namespace; it is gone when the test ends."""
    made = Release(control_plane, f"chrion-{uuid.uuid4().hex[:6]}", namespace)
    yield made
    made.close()


def account(release: Release) -> str:
    return f"{release.name}-operator"


def may(
    cluster: Cluster, release: Release, request: tuple[str, str, str], namespace: str | None, name: str = ""
) -> bool:
    """Whether the operator's account may do something in a namespace, or in the cluster."""
    verb, group, resource = request
    resource, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
    attributes |= {"namespace": namespace or "", "name": name}
    user = f"system:serviceaccount:{release.namespace}:{account(release)}"
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{release.namespace}", "system:authenticated"]
    review = kubernetes.client.AuthorizationV1Api(cluster.api_client).create_subject_access_review(
        {"spec": {"user": user, "groups": groups, "resourceAttributes": attributes}}
    )
    return bool(review.status.allowed)


def test_installed_upgraded_and_uninstalled(control_plane: Cluster, release: Release) -> None:
    with without_definition(control_plane):
        release.install({})
        made = {(each["kind"], each["metadata"]["name"]) for each in release.objects()}
        assert {("Deployment", account(release)), ("ServiceAccount", account(release))} <= made
        release.upgrade(
            {"replicas": 2, "podDisruptionBudget": {"enabled": True}, "grafanaDashboard": {"enabled": True}}
        )
        deployment = control_plane.get("Deployment", account(release), release.namespace)
        assert deployment is not None
        assert deployment["spec"]["replicas"] == 2
        assert release.revisions() == 2
        release.uninstall()
        assert release.objects() == []
        assert control_plane.get("CustomResourceDefinition", DEFINITION), "every model would go with it"


def test_the_definition_is_upgraded(control_plane: Cluster, release: Release, tmp_path: Path) -> None:
    older = tmp_path / "chrion"
    shutil.copytree(CHART, older)
    (path,) = (older / "files" / "crds").iterdir()
    definition = yaml.safe_load(path.read_text(encoding="utf-8"))
    columns = definition["spec"]["versions"][0].pop("additionalPrinterColumns")
    path.write_text(yaml.safe_dump(definition, sort_keys=False), encoding="utf-8")

    def there() -> Object:
        found = control_plane.get("CustomResourceDefinition", DEFINITION)
        assert found is not None
        version: Object = found["spec"]["versions"][0]
        return version

    with without_definition(control_plane):
        release.install({}, chart=older)
        release.upgrade({})
        assert [column["name"] for column in there()["additionalPrinterColumns"]] == [each["name"] for each in columns]


def test_what_the_account_may_do(control_plane: Cluster, release: Release, make_namespace: Callable[[], str]) -> None:
    release.install(WITHOUT_DEFINITION)
    elsewhere = make_namespace()
    for namespace in (release.namespace, elsewhere):
        assert [each for each in MINE if not may(control_plane, release, each, namespace)] == []
        assert [each for each in NOBODYS if may(control_plane, release, each, namespace)] == []
    assert all(may(control_plane, release, (verb, "", "nodes"), None) for verb in ("get", "list", "watch"))
    lease = ("update", "coordination.k8s.io", "leases")
    assert may(control_plane, release, lease, release.namespace, "chrion-operator")
    assert not may(control_plane, release, lease, release.namespace, "another")
    assert not may(control_plane, release, lease, elsewhere, "chrion-operator")


def test_what_the_account_may_do_in_a_namespaced_install(
    control_plane: Cluster, release: Release, make_namespace: Callable[[], str]
) -> None:
    watched, other = make_namespace(), make_namespace()
    release.install({**WITHOUT_DEFINITION, "watchNamespaces": [watched], "rbac": {"readNodes": False}})
    assert [each for each in MINE if not may(control_plane, release, each, watched)] == []
    assert [each for each in NOBODYS if may(control_plane, release, each, watched)] == []
    for namespace in (other, release.namespace, None):
        assert [each for each in MINE if may(control_plane, release, each, namespace)] == []
    assert not may(control_plane, release, ("list", "", "nodes"), None)
    assert may(control_plane, release, ("create", "coordination.k8s.io", "leases"), release.namespace)


@pytest.fixture
def as_operator(control_plane: Cluster, release: Release, tmp_path: Path) -> Callable[[], Path]:
    """Writes a kubeconfig with a token of the release's account, as its pods have one."""

    def write() -> Path:
        token = kubernetes.client.CoreV1Api(control_plane.api_client).create_namespaced_service_account_token(
            account(release), release.namespace, {"spec": {"audiences": [], "expirationSeconds": 3600}}
        )
        config = yaml.safe_load(control_plane.kubeconfig.read_text(encoding="utf-8"))
        config["users"][0]["user"] = {"token": token.status.token}
        path = tmp_path / "operator.kubeconfig"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    return write


def planner_role(namespace: str, resource: str, verbs: list[str]) -> Object:
    rule = {"apiGroups": [""], "resources": [resource], "resourceNames": ["m-plan-cpu"], "verbs": verbs}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "m-planner-cpu", "namespace": namespace},
        "rules": [rule],
    }


def test_the_account_grants_planners_their_configmap_and_no_more(
    control_plane: Cluster, release: Release, as_operator: Callable[[], Path]
) -> None:
    release.install(WITHOUT_DEFINITION)
    operator = Cluster(as_operator(), None)
    operator.apply(planner_role(release.namespace, "configmaps", ["get", "patch"]))
    for resource, verbs in (("secrets", ["get"]), ("configmaps", ["*"]), ("configmaps", ["update"])):
        with pytest.raises(ForbiddenError):
            operator.apply(planner_role(release.namespace, resource, verbs))


MODEL: Object = {
    "apiVersion": "chrion.dev/v1alpha1",
    "kind": "ChrionModel",
    "metadata": {"name": "m"},
    "spec": {"model": {"uri": "configmap://m/model.onnx"}},
}


@pytest.mark.parametrize("scope", ["cluster", "namespace"])
def test_the_operator_works_with_the_chart_s_account(
    control_plane: Cluster, release: Release, as_operator: Callable[[], Path], tmp_path: Path, scope: str
) -> None:
    namespaced = scope == "namespace"
    values = {**WITHOUT_DEFINITION, "watchNamespaces": [release.namespace] if namespaced else []}
    release.install({**values, "rbac": {"readNodes": not namespaced}})
    container = release_container(control_plane, release)
    environment = {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}
    # Those are the test's own.
    del environment["CHRION_HEALTH_PORT"], environment["CHRION_METRICS_PORT"]
    environment["CHRION_OPERATOR_NAMESPACE"] = release.namespace
    operator = OperatorProcess(as_operator(), tmp_path / "operator.log", environment)
    try:
        control_plane.apply({**MODEL, "metadata": {"name": "m", "namespace": release.namespace}})
        control_plane.wait_for("ChrionModel", "m", release.namespace, has_conditions, "conditions")
        selector = "app.kubernetes.io/managed-by=chrion"
        for kind in ("Job", "Role", "RoleBinding", "ServiceAccount"):
            wait_until(
                lambda kind=kind: control_plane.list(kind, release.namespace, selector), f"a {kind}'s being made"
            )
        wait_until(lambda: control_plane.get("Lease", "chrion-operator", release.namespace), "the lease's being taken")
        assert "orbidden" not in operator.words()
    finally:
        if operator.running:
            operator.kill()


def release_container(cluster: Cluster, release: Release) -> Object:
    """The operator's container, as the chart has it."""
    deployment = cluster.get("Deployment", account(release), release.namespace)
    assert deployment is not None
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(container)


def has_conditions(model: Object) -> bool:
    return bool(model.get("status", {}).get("conditions"))
