"""Job: one planner at work, for one revision on one node class."""

from chrion_api import ChrionModelSpec
from chrion_api.chrionmodel import RuntimeSpec
from chrion_api.handover import PERMANENT
from chrion_operator.canonical import compact
from chrion_operator.manifests.meta import metadata
from chrion_operator.manifests.pod import MODEL_FILE, container, pod_template
from chrion_operator.manifests.resources import planner_resources
from chrion_operator.manifests.server import Server
from chrion_operator.names import (
    QUEUE_LABEL,
    Object,
    figures_name,
    job_name,
    labels,
    model_name,
    namespace,
    plan_name,
    planner_name,
)
from chrion_operator.nodes import NodeClass
from chrion_operator.settings import Settings

BACKOFF_LIMIT = 2
GRACE_SECONDS = 600
"""What fetching and starting may take beside the planner's own timeout."""
KEEP_SECONDS = 86400
"""How long a Job that has ended is kept to look at."""

TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105  a folder, not a password
TOKEN_SECONDS = 3607
"""The life of a token, which the kubelet renews; as Kubernetes' own admission has it."""


def planner_job(
    owner: Object, spec: ChrionModelSpec, cls: NodeClass, revision: str, settings: Settings, server: Server
) -> Object:
    """The planner's Job. Its template cannot be changed later: create it where it is not there, never apply it again.

    Raises InvalidField for a pod template or a URI that cannot be used here.
    """
    model = model_name(owner)
    configmap = f"{namespace(owner)}/{plan_name(model, cls.name)}"
    args = ["plan-job", "--model", MODEL_FILE, "--spec-env", "CHRION_SPEC"]
    args += ["--config-map", configmap, "--revision", revision]
    image = settings.image("planner", cls.gpu)
    plan = container("plan", args, image, settings, planner_resources(spec, cls))
    plan["env"] += [
        {"name": "CHRION_SPEC", "value": compact(_planners(spec, cls).to_data())},
        # No option: an image of an earlier version would not know it.
        {"name": "CHRION_FIGURES", "value": f"{namespace(owner)}/{figures_name(cls.name)}"},
    ]
    plan["volumeMounts"].append({"name": "token", "mountPath": TOKEN_FOLDER, "readOnly": True})
    meta = metadata(owner, job_name(model, cls.name, revision), "planner", cls.name, revision=revision)
    job: Object = {
        "backoffLimit": BACKOFF_LIMIT,
        "activeDeadlineSeconds": int(spec.planner.timeout.seconds) + GRACE_SECONDS,
        "ttlSecondsAfterFinished": KEEP_SECONDS,
        "template": pod_template(
            "planner",
            spec,
            cls,
            settings,
            server,
            labels(model, "planner", cls.name, revision),
            plan,
            spec.model.sha256,
            [_token()],
            {"restartPolicy": "Never", "serviceAccountName": planner_name(model, cls.name)},
        ),
    }
    if server.has_pod_failure_policy:
        job["podFailurePolicy"] = {
            "rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [PERMANENT]}},
            ]
        }
    if spec.planner.queue_name:
        meta["labels"][QUEUE_LABEL] = spec.planner.queue_name
        if server.has_suspended_jobs:
            job["suspend"] = True
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": job}


def _planners(spec: ChrionModelSpec, cls: NodeClass) -> ChrionModelSpec:
    """The spec as the planner needs it: without what is for the pods, and off the GPU where the class has none."""
    devices = spec.devices if cls.gpu else spec.devices.model_copy(update={"gpu_resource": ""})
    pods: Object = {"node_selector": {}, "tolerations": (), "pod_template": {}}
    return spec.model_copy(
        update={
            "devices": devices,
            "planner": spec.planner.model_copy(update=pods),
            "runtime": RuntimeSpec(resources=spec.runtime.resources),
        }
    )


def _token() -> Object:
    """The account's token, where clients look for it."""
    return {
        "name": "token",
        "projected": {
            "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {
                    "downwardAPI": {
                        "items": [
                            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
                        ]
                    }
                },
            ]
        },
    }
