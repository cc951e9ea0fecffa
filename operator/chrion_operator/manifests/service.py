"""Service: the one address of a model, over all node classes."""

from chrion_operator.manifests.deployment import HTTP_PORT, METRICS_PORT
from chrion_operator.manifests.meta import metadata
from chrion_operator.names import Object, model_name, selector, service_name


def service(owner: Object) -> Object:
    """Inference on port 80, metrics and the page on 8002."""
    model = model_name(owner)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(owner, service_name(model), "service"),
        "spec": {
            "selector": selector(model, "runtime"),
            "ports": [
                {"name": "http", "port": 80, "targetPort": HTTP_PORT, "protocol": "TCP"},
                {"name": "metrics", "port": METRICS_PORT, "targetPort": METRICS_PORT, "protocol": "TCP"},
            ],
        },
    }
