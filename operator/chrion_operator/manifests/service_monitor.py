"""ServiceMonitor: how a Prometheus finds a model's metrics."""

from chrion_operator.manifests.meta import metadata
from chrion_operator.manifests.server import Server
from chrion_operator.names import Object, model_name, selector, service_name
from chrion_operator.settings import Settings


def service_monitor(owner: Object, settings: Settings, server: Server) -> Object | None:
    """The monitor that the operator's settings ask for; None where they do not, or the server has no such kind."""
    if not (settings.service_monitor and server.has_service_monitor):
        return None
    model = model_name(owner)
    meta = metadata(owner, service_name(model), "service")
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {**meta, "labels": {**settings.service_monitor_labels, **meta["labels"]}},
        "spec": {
            "selector": {"matchLabels": selector(model, "service")},
            "endpoints": [{"port": "metrics", "path": "/metrics"}],
        },
    }
