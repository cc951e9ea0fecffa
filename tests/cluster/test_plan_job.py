"""`chrion plan-job` with the rights of a planner, against a real API server that restarts meanwhile."""

import json
from pathlib import Path

import pytest
import yaml
from kubernetes import client, config

from chrion.pod.figures import SharedFigures
from chrion_api import DeviceKey, DeviceProfile, PlanFile
from chrion_graph.load import digest
from chrion_planner.profiling import Known
from tests.support.cluster import Cluster
from tests.support.command import Chrion
from tests.support.tiny_model import TINY_SPEC, tiny_model


def planner_kubeconfig(control_plane: Cluster, namespace: str, config_map: str, path: Path) -> Path:
    """A kubeconfig of an account that may get and patch this ConfigMap, by a token as pods have it."""
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [config_map], "verbs": ["get", "patch"]}
    account = {"kind": "ServiceAccount", "name": "planner", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "planner"}
    metadata = {"name": "planner", "namespace": namespace}
    rbac = "rbac.authorization.k8s.io/v1"
    control_plane.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    control_plane.apply({"apiVersion": rbac, "kind": "Role", "metadata": metadata, "rules": [rule]})
    binding = {"apiVersion": rbac, "kind": "RoleBinding", "metadata": metadata, "roleRef": role, "subjects": [account]}
    control_plane.apply(binding)
    with config.new_client_from_config(str(control_plane.kubeconfig)) as api:
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}
        found = client.CoreV1Api(api).create_namespaced_service_account_token("planner", namespace, request)
    kubeconfig = yaml.safe_load(control_plane.kubeconfig.read_text())
    for user in kubeconfig["users"]:
        user["user"] = {"token": found.status.token}
    path.write_text(yaml.safe_dump(kubeconfig))
    return path


def test_plans_are_handed_in(control_plane: Cluster, namespace: str, tmp_path: Path) -> None:
    name = "tiny-plan-cpu"
    metadata = {"name": name, "namespace": namespace, "annotations": {"chrion.dev/revision": "rev1"}}
    control_plane.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    environment = {
        "KUBECONFIG": str(planner_kubeconfig(control_plane, namespace, name, tmp_path / "kubeconfig")),
        "CHRION_SPEC": json.dumps(TINY_SPEC),
        "CHRION_TERMINATION_LOG": str(tmp_path / "log"),
    }
    model = tiny_model(tmp_path / "model.onnx")
    options = ("--spec-env", "CHRION_SPEC", "--config-map", f"{namespace}/{name}", "--revision", "rev1")
    process = Chrion(tmp_path / "cache", environment).start("plan-job", "--model", model, *options)
    process.wait_for("profiling")
    control_plane.restart_api_server()
    assert process.end() == 0, process.err
    found = control_plane.get("ConfigMap", name, namespace)
    assert found is not None
    assert PlanFile.from_json(found["data"]["plan.json"]).model == digest(model)
    annotations = found["metadata"]["annotations"]
    assert annotations["chrion.dev/planned"] == "rev1"
    assert json.loads(annotations["chrion.dev/progress"])["percent"] == 100


def test_figures_are_kept(
    control_plane: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "chrion-figures-cpu"
    control_plane.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}})
    kubeconfig = planner_kubeconfig(control_plane, namespace, name, tmp_path / "kubeconfig")
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    figures = SharedFigures(f"{namespace}/{name}")
    for lanes in (1, 2):
        key = DeviceKey(product="A CPU", cores=lanes, engines={"onnxruntime": "1"})
        device = DeviceProfile(name="cpu", key=key, lanes=lanes, hop_seconds=0, handoff_seconds=0)
        known = Known(reference_seconds=1, device=device)
        assert figures.read(key, lanes) is None
        figures.keep(known)
        assert figures.read(key, lanes) == known
    found = control_plane.get("ConfigMap", name, namespace)
    assert found is not None
    assert len(found["binaryData"]) == 2
