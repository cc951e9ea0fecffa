"""Deployment: the replicas of a model on one node class."""

from chrion_api import ChrionModelSpec
from chrion_api.handover import PLAN_KEY
from chrion_operator.manifests.meta import metadata
from chrion_operator.manifests.pod import MODEL_FILE, container, pod_template
from chrion_operator.manifests.resources import check_run_memory, runtime_resources
from chrion_operator.manifests.server import Server
from chrion_operator.names import (
    SLO_KEY,
    Object,
    deployment_name,
    frontier_name,
    labels,
    model_name,
    selector,
    slo_name,
)
from chrion_operator.nodes import NodeClass
from chrion_operator.settings import Settings

HTTP_PORT = 8000
METRICS_PORT = 8002

LOADING_SECONDS = 600
"""What loading a model may take before its pod is restarted."""
LEAVING_SECONDS = 5
"""What a pod still takes requests for after it was told to end, while others hear that it does."""
DRAIN_SECONDS = 30
"""What the runtime waits for requests in flight."""


def deployment(
    owner: Object,
    spec: ChrionModelSpec,
    cls: NodeClass,
    revision: str,
    replicas: int,
    model_digest: str,
    settings: Settings,
    server: Server,
    stuck: bool = False,
) -> Object:
    """The Deployment of a node class; its pods load the model of this digest and no other.

    `stuck` says that a replica waits for a node: then a rollout over GPUs takes one from an old replica first. Raises
    InvalidField for a pod template or a URI that cannot be used here, and for runs that may take more memory than the
    container.
    """
    model = model_name(owner)
    resources = runtime_resources(spec, cls)
    check_run_memory(spec, resources)
    serve = container("serve", _arguments(model, spec), settings.image("runtime", cls.gpu), settings, resources)
    serve |= {
        "ports": [
            {"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
        "startupProbe": _probe("ready", period=1, failures=LOADING_SECONDS),
        "readinessProbe": _probe("ready", period=2, failures=5),
        "livenessProbe": _probe("live", period=10, failures=6),
    }
    volumes = {"plan": frontier_name(model, cls.name, revision), "slo": slo_name(model)}
    # Whole, without subPath: the kubelet keeps only whole ConfigMaps up to date.
    serve["volumeMounts"] += [{"name": name, "mountPath": f"/{name}", "readOnly": True} for name in volumes]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(owner, deployment_name(model, cls.name), "runtime", cls.name, revision=revision),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": LOADING_SECONDS + 300,
            "selector": {"matchLabels": selector(model, "runtime", cls.name)},
            "strategy": _strategy(cls, replicas, stuck),
            "template": pod_template(
                "runtime",
                spec,
                cls,
                settings,
                server,
                labels(model, "runtime", cls.name, revision),
                serve,
                model_digest,
                [{"name": name, "configMap": {"name": configmap}} for name, configmap in volumes.items()],
                {"terminationGracePeriodSeconds": LEAVING_SECONDS + DRAIN_SECONDS + 10},
            ),
        },
    }


def _arguments(model: str, spec: ChrionModelSpec) -> list[str]:
    args = ["serve", MODEL_FILE, "--plan", f"/plan/{PLAN_KEY}", "--slo", f"/slo/{SLO_KEY}", "--name", model]
    args += ["--host", "0.0.0.0", "--port", str(HTTP_PORT), "--metrics-port", str(METRICS_PORT)]  # noqa: S104
    args += ["--leave", f"{LEAVING_SECONDS}s", "--log-format", "json"]
    if spec.limits.run_memory is not None:
        args += ["--run-memory", str(spec.limits.run_memory)]
    for entry in spec.inputs:
        if entry.value is not None:
            args += ["--value", f"{entry.name}={+entry.value}"]
    for link in spec.state:
        args += ["--state", f"{link.output}={link.input}"]
    return args


def _strategy(cls: NodeClass, replicas: int, stuck: bool) -> Object:
    """A new pod before an old one goes; but where every GPU is taken, an old one first, or both would wait forever."""
    surge = not cls.gpu or (cls.slots > replicas and not stuck)
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1 if surge else 0, "maxUnavailable": 0 if surge else 1},
    }


def _probe(path: str, period: int, failures: int) -> Object:
    return {
        "httpGet": {"path": f"/v2/health/{path}", "port": HTTP_PORT},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": 5,
    }
