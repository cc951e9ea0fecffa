"""Every manifest is taken by a real API server, by server-side apply, and a second time without a change."""

from typing import Any

import pytest
from kubernetes.client import VersionApi

from chrion_operator.manifests import (
    Server,
    deployment,
    figures_configmap,
    frontier_configmap,
    plan_configmap,
    planner_job,
    pod_disruption_budget,
    role,
    role_binding,
    service,
    service_account,
    slo_configmap,
)
from chrion_operator.nodes import NodeClass, node_classes
from chrion_operator.plans import read_plan
from chrion_operator.settings import Settings
from tests.support import objects
from tests.support.cluster import Cluster
from tests.support.waiting import wait_until

GPU_LABELS = {"nvidia.com_gpu.product": "Tesla-T4", "nvidia.com_gpu.memory": "15109", "kubernetes.io_arch": "amd64"}
SETTINGS = Settings(
    fetch_allow=("minio",),
    pod_template={"spec": {"priorityClassName": "", "containers": [{"name": "serve", "tty": False}]}},
)
SPEC = objects.spec(
    model={"uri": "pvc://models/nsnet2.onnx", "sha256": objects.MODEL_DIGEST, "secretRef": {"name": "s3"}},
    inputs=[{"name": "sr", "shape": [], "value": 16000}],
    runtime={"replicas": 2, "maxUnavailable": 1, "tolerations": [{"key": "a", "operator": "Exists"}]},
    planner={"queueName": "batch", "resources": {"limits": {"cpu": 2, "memory": "2Gi"}}},
)
REVISION = "0123456789"


@pytest.fixture(scope="module")
def server(control_plane: Cluster) -> Server:
    """The server as the operator would see it."""
    minor = int(VersionApi(control_plane.api_client).get_code().minor.rstrip("+"))
    return Server(minor=minor, has_pdb_v1=minor >= 21)


def model(namespace: str, name: str) -> dict[str, Any]:
    """A ChrionModel to own what is made."""
    return {
        "apiVersion": "chrion.dev/v1alpha1",
        "kind": "ChrionModel",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"model": {"uri": "pvc://models/nsnet2.onnx"}},
    }


def manifests(owner: dict[str, Any], cls: NodeClass, server: Server) -> list[dict[str, Any]]:
    plan = read_plan({"metadata": {"name": "p"}, "data": {"plan.json": objects.plan_file().to_json()}})
    budget = pod_disruption_budget(owner, SPEC, server)
    assert budget is not None
    return [
        service_account(owner, cls),
        role(owner, cls),
        role_binding(owner, cls),
        plan_configmap(owner, cls, REVISION),
        figures_configmap(owner, cls),
        frontier_configmap(owner, cls, REVISION, plan),
        slo_configmap(owner, SPEC),
        planner_job(owner, SPEC, cls, REVISION, SETTINGS, server),
        deployment(owner, SPEC, cls, REVISION, 2, plan.file.model, SETTINGS, server),
        service(owner),
        budget,
    ]


@pytest.mark.parametrize("gpus", [0, 2])
def test_every_manifest_is_taken_and_taken_again(
    control_plane: Cluster, namespace: str, server: Server, gpus: int
) -> None:
    owner = control_plane.apply(model(namespace, "silero.vad-16k"))
    node = objects.node("n", {"nvidia.com/gpu": str(gpus)} if gpus else None, **GPU_LABELS)
    (cls,) = node_classes(SPEC, [node], SETTINGS)
    assert cls.gpu == bool(gpus)
    for manifest in manifests(owner, cls, server):
        made = control_plane.apply(manifest)
        again = control_plane.apply(manifest)
        assert made["metadata"]["uid"] == again["metadata"]["uid"]
        assert made["metadata"].get("generation") == again["metadata"].get("generation")
        if "spec" in manifest:
            assert made["spec"] == again["spec"]


def test_what_is_owned_goes_with_its_model(control_plane: Cluster, namespace: str, server: Server) -> None:
    owner = control_plane.apply(model(namespace, "nsnet2"))
    (cls,) = node_classes(SPEC, None, SETTINGS)
    made = [control_plane.apply(manifest) for manifest in manifests(owner, cls, server)]
    control_plane.delete("ChrionModel", "nsnet2", namespace)
    for manifest in (one for one in made if one["kind"] != "PodDisruptionBudget"):  # of an API version of its own
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        wait_until(lambda kind=kind, name=name: not control_plane.get(kind, name, namespace), f"{kind} {name} going")
