"""The operator's roles hold what its code asks of the API server, and nothing else."""

from collections.abc import Iterable
from typing import Any

import pytest

from chrion_operator.cluster import kinds, leader
from chrion_operator.cluster.kinds import Kind
from chrion_operator.manifests import role
from chrion_operator.names import Object
from chrion_operator.nodes import NodeClass
from tests.chart.value_sets import VALUE_SETS
from tests.support.chart import Chart, render

Right = tuple[str, str, str]
"""API group, resource, verb."""

READ = ("get", "list", "watch")
WRITE = ("create", "patch", "delete")


def rights(rules: Iterable[Object]) -> set[Right]:
    """Every single right that rules give."""
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def of(kind: Kind, *verbs: str, subresource: str = "") -> set[Right]:
    """Rights on a kind."""
    group = kind.api.rpartition("/")[0]
    return {(group, f"{kind.plural}{subresource}", verb) for verb in verbs}


def needed() -> set[Right]:
    """What the operator's code asks of the server for the kinds that it knows."""
    watched_only = {kinds.POD, kinds.REPLICA_SET}
    made = {*kinds.OWNED, kinds.DISRUPTION_BUDGET_V1, kinds.SERVICE_MONITOR} - watched_only
    found = of(kinds.MODEL, *READ) | of(kinds.MODEL, "patch", subresource="/status")
    found |= of(kinds.POD, *READ, "patch") | of(kinds.REPLICA_SET, *READ) | of(kinds.EVENT, "create", "get", "patch")
    return found.union(*(of(kind, *READ, *WRITE) for kind in made))


def test_cluster_role_is_what_the_code_needs(chart: Chart) -> None:
    role = render(chart, {}).one("ClusterRole", "chrion-system:chrion-operator")
    assert rights(role["rules"]) == needed()


def test_namespaced_install_has_roles_in_its_namespaces_alone(chart: Chart) -> None:
    rendered = render(chart, VALUE_SETS["namespaced"])
    assert not rendered.of("ClusterRole")
    assert not rendered.of("ClusterRoleBinding")
    of_models = [each for each in rendered.of("Role") if each["metadata"]["name"] == "chrion-operator"]
    assert {each["metadata"]["namespace"] for each in of_models} == {"team-a", "team-b"}
    assert all(rights(each["rules"]) == needed() for each in of_models)


def test_nodes_are_read_by_a_role_of_their_own(chart: Chart) -> None:
    role = render(chart, {"watchNamespaces": ["a"]}).one("ClusterRole", "chrion-system:chrion-operator-nodes")
    assert rights(role["rules"]) == of(kinds.NODE, *READ)
    assert not [
        each for each in render(chart, {"rbac": {"readNodes": False}}).of("ClusterRole") if "nodes" in str(each)
    ]


def test_lease_is_the_one_that_is_elected_by(chart: Chart) -> None:
    create, use = render(chart, {}).one("Role", "chrion-operator-leader")["rules"]
    assert rights([create]) == of(kinds.LEASE, "create")
    assert rights([use]) == of(kinds.LEASE, "get", "update", "patch")
    assert use["resourceNames"] == [leader.LEASE_NAME]


def test_operator_holds_what_it_grants_planners() -> None:
    """Or the server refuses the planner's Role, as an escalation."""
    owner = {"metadata": {"name": "m", "namespace": "n", "uid": "u"}}
    granted = role(owner, NodeClass("cpu", gpu=False))
    assert rights(granted["rules"]) <= needed()


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_nothing_is_granted_by_wildcard(chart: Chart, values: dict[str, Any]) -> None:
    rendered = render(chart, values)
    for each in (*rendered.of("Role"), *rendered.of("ClusterRole")):
        for rule in each["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "secrets" not in rule["resources"]


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_bindings_lead_to_roles_and_the_account(chart: Chart, values: dict[str, Any]) -> None:
    rendered = render(chart, values)
    account = rendered.one("Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        for binding in rendered.of(kind):
            reference = binding["roleRef"]
            (found,) = (
                each
                for each in rendered.of(reference["kind"])
                if each["metadata"]["name"] == reference["name"]
                and each["metadata"].get("namespace") == binding["metadata"].get("namespace")
            )
            assert found["rules"]
            test = binding["metadata"].get("annotations", {}).get("helm.sh/hook") == "test"
            (subject,) = binding["subjects"]
            assert subject["kind"] == "ServiceAccount"
            assert test or (subject["name"], subject["namespace"]) == (account, "chrion-system")
