"""The kinds of objects that the operator reads and writes, and where the API server has them."""

from dataclasses import dataclass
from urllib.parse import quote

from chrion_api.chrionmodel import GROUP, KIND, VERSION


@dataclass(frozen=True)
class Kind:
    """A kind of object, in one version of its API."""

    name: str
    """Such as Deployment."""
    api: str
    """Such as apps/v1."""
    plural: str
    """Such as deployments."""
    namespaced: bool = True
    """Whether its objects live in namespaces."""

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of one object, or of all (in a namespace) without a name.

        Raises ValueError for a name that no object can have, and that would lead elsewhere.
        """
        root = f"/apis/{self.api}" if "/" in self.api else f"/api/{self.api}"
        scope = f"/namespaces/{_segment(namespace)}" if self.namespaced and namespace else ""
        return "/".join(part for part in (f"{root}{scope}/{self.plural}", _segment(name), subresource) if part)


def _segment(name: str) -> str:
    if name in (".", ".."):
        raise ValueError(f'"{name}" is not the name of an object')
    return quote(name, safe="")


MODEL = Kind(KIND, f"{GROUP}/{VERSION}", "chrionmodels")
CONFIG_MAP = Kind("ConfigMap", "v1", "configmaps")
POD = Kind("Pod", "v1", "pods")
NODE = Kind("Node", "v1", "nodes", namespaced=False)
EVENT = Kind("Event", "v1", "events")
LEASE = Kind("Lease", "coordination.k8s.io/v1", "leases")
SERVICE = Kind("Service", "v1", "services")
SERVICE_ACCOUNT = Kind("ServiceAccount", "v1", "serviceaccounts")
ROLE = Kind("Role", "rbac.authorization.k8s.io/v1", "roles")
ROLE_BINDING = Kind("RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings")
JOB = Kind("Job", "batch/v1", "jobs")
DEPLOYMENT = Kind("Deployment", "apps/v1", "deployments")
REPLICA_SET = Kind("ReplicaSet", "apps/v1", "replicasets")
DISRUPTION_BUDGET_V1 = Kind("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets")
DISRUPTION_BUDGET_V1BETA1 = Kind("PodDisruptionBudget", "policy/v1beta1", "poddisruptionbudgets")
SERVICE_MONITOR = Kind("ServiceMonitor", "monitoring.coreos.com/v1", "servicemonitors")

OWNED = (
    CONFIG_MAP,
    SERVICE_ACCOUNT,
    ROLE,
    ROLE_BINDING,
    JOB,
    DEPLOYMENT,
    REPLICA_SET,
    POD,
    SERVICE,
)
"""What every model's objects consist of; disruption budgets and service monitors come where the server has them."""

_KNOWN = {
    (kind.api, kind.name): kind
    for kind in (
        *OWNED,
        MODEL,
        NODE,
        EVENT,
        LEASE,
        DISRUPTION_BUDGET_V1,
        DISRUPTION_BUDGET_V1BETA1,
        SERVICE_MONITOR,
    )
}


def kind_of(manifest: dict[str, object]) -> Kind:
    """The kind that a manifest names. Raises KeyError for one that is not listed here."""
    return _KNOWN[str(manifest["apiVersion"]), str(manifest["kind"])]
