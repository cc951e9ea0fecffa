"""RBAC: the account of a planner, which may read and patch two ConfigMaps and nothing else."""

from chrion_operator.manifests.meta import metadata
from chrion_operator.names import Object, figures_name, model_name, plan_name, planner_name
from chrion_operator.nodes import NodeClass

GROUP = "rbac.authorization.k8s.io"


def service_account(owner: Object, cls: NodeClass) -> Object:
    """The planner's account; its token is mounted into one container and nowhere else."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", **_named(owner, cls), "automountServiceAccountToken": False}


def role(owner: Object, cls: NodeClass) -> Object:
    """The right to hand in a plan, and to keep what was measured for it."""
    configmaps = [plan_name(model_name(owner), cls.name), figures_name(cls.name)]
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": configmaps, "verbs": ["get", "patch"]}
    return {"apiVersion": f"{GROUP}/v1", "kind": "Role", **_named(owner, cls), "rules": [rule]}


def role_binding(owner: Object, cls: NodeClass) -> Object:
    """The planner's account in its role."""
    named = _named(owner, cls)
    name, namespace = named["metadata"]["name"], named["metadata"]["namespace"]
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "RoleBinding",
        **named,
        "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }


def _named(owner: Object, cls: NodeClass) -> Object:
    return {"metadata": metadata(owner, planner_name(model_name(owner), cls.name), "planner", cls.name)}
