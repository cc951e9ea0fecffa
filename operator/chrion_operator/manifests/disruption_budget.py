"""PodDisruptionBudget: how many replicas a drained node may take at once."""

from chrion_api import ChrionModelSpec
from chrion_operator.manifests.meta import metadata
from chrion_operator.manifests.server import Server
from chrion_operator.names import Object, model_name, selector, service_name


def pod_disruption_budget(owner: Object, spec: ChrionModelSpec, server: Server) -> Object | None:
    """The budget that `spec.runtime.maxUnavailable` asks for; None where it asks for none."""
    if spec.runtime.max_unavailable is None:
        return None
    model = model_name(owner)
    return {
        "apiVersion": "policy/v1" if server.has_pdb_v1 else "policy/v1beta1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(owner, service_name(model), "service"),
        "spec": {
            "maxUnavailable": spec.runtime.max_unavailable,
            "selector": {"matchLabels": selector(model, "runtime")},
        },
    }
