"""The CRD in a real API server: established, structural, filling in defaults, and refusing nonsense at apply."""

from typing import Any

import pytest
from kubernetes.client import CustomObjectsApi
from kubernetes.dynamic.exceptions import DynamicApiError

from chrion_api import ChrionModel
from chrion_operator.crd import definition
from tests.support.cluster import Cluster

CRD = definition()["metadata"]["name"]
MODELS = {"group": "chrion.dev", "version": "v1alpha1", "plural": "chrionmodels"}


def model(namespace: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "chrion.dev/v1alpha1",
        "kind": "ChrionModel",
        "metadata": {"name": "nsnet2", "namespace": namespace},
        "spec": {"model": {"uri": "pvc://models/nsnet2.onnx"}, **spec},
    }


def refusal(cluster: Cluster, manifest: dict[str, Any]) -> str:
    with pytest.raises(DynamicApiError) as caught:
        cluster.apply(manifest)
    assert caught.value.status == 422
    return str(caught.value.body)


def test_the_schema_is_structural_and_established(control_plane: Cluster) -> None:
    crd = control_plane.get("CustomResourceDefinition", CRD)
    assert crd is not None
    conditions = {condition["type"]: condition["status"] for condition in crd["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"


def test_the_server_fills_in_what_the_types_have_as_defaults(control_plane: Cluster, namespace: str) -> None:
    manifest = model(namespace, slo={"gpuMemory": 1000000}, inputs=[{"name": "sr", "shape": [], "value": 16000}])
    stored = control_plane.apply(manifest)
    assert stored["spec"]["runtime"] == {"replicas": 1}
    assert (stored["spec"]["mode"], stored["spec"]["slo"]["percentile"]) == ("Auto", 99)
    assert ChrionModel.parse({**stored, "metadata": {"name": "m"}}).spec == ChrionModel.parse(manifest).spec


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"model": {"uri": "ftp://a"}}, "spec.model.uri"),
        ({"model": {}}, "spec.model.uri"),
        ({"mode": "Fast"}, "spec.mode"),
        ({"slo": {"latency": "20 bananas"}}, "spec.slo.latency"),
        ({"slo": {"gpuMemory": "1500m"}}, "spec.slo.gpuMemory"),
        ({"slo": {"percentile": 100}}, "spec.slo.percentile"),
        ({"slo": {"load": {"concurrency": 1, "requestsPerSecond": 2}}}, "spec.slo.load"),
        ({"inputs": [{"name": "x", "shape": [1], "shapes": [[1]]}]}, "spec.inputs"),
        ({"runtime": {"replicas": -1}}, "spec.runtime.replicas"),
    ],
)
def test_nonsense_is_refused_at_apply(control_plane: Cluster, namespace: str, spec: dict[str, Any], field: str) -> None:
    assert field in refusal(control_plane, model(namespace, **spec))


def test_an_input_stands_once(control_plane: Cluster, namespace: str) -> None:
    twice = model(namespace, inputs=[{"name": "x", "shape": [1]}, {"name": "x", "shape": [2]}])
    with pytest.raises(DynamicApiError):
        control_plane.apply(twice)


def test_scaling_sets_the_replicas(control_plane: Cluster, namespace: str) -> None:
    control_plane.apply(model(namespace))
    CustomObjectsApi(control_plane.api_client).patch_namespaced_custom_object_scale(
        **MODELS, name="nsnet2", namespace=namespace, body={"spec": {"replicas": 3}}
    )
    stored = control_plane.get("ChrionModel", "nsnet2", namespace)
    assert stored is not None
    assert stored["spec"]["runtime"]["replicas"] == 3


def test_the_status_is_a_subresource(control_plane: Cluster, namespace: str) -> None:
    control_plane.apply({**model(namespace), "status": {"url": "http://elsewhere"}})
    stored = control_plane.get("ChrionModel", "nsnet2", namespace)
    assert stored is not None
    assert "status" not in stored
    patched = control_plane.patch("ChrionModel", "nsnet2", namespace, {"status": {"url": "http://here"}}, status=True)
    assert patched["status"] == {"url": "http://here"}
    assert patched["metadata"]["generation"] == stored["metadata"]["generation"]


def test_columns_are_shown(control_plane: Cluster, namespace: str) -> None:
    control_plane.apply(model(namespace, slo={"latency": "20ms"}))
    conditions = [
        {"type": "Ready", "status": "True", "reason": "Succeeded", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    ]
    status = {"conditions": conditions, "latency": "12ms", "gpuMemory": "180Mi", "url": "http://nsnet2.audio.svc"}
    control_plane.patch("ChrionModel", "nsnet2", namespace, {"status": status}, status=True)
    table = CustomObjectsApi(control_plane.api_client).list_namespaced_custom_object(
        **MODELS, namespace=namespace, _headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    )
    names = [column["name"] for column in table["columnDefinitions"]]
    (row,) = table["rows"]
    shown = dict(zip(names, row["cells"], strict=True))
    wanted = {"Mode": "Auto", "Latency": "12ms", "GPU Memory": "180Mi", "Ready": "True", "Reason": "Succeeded"}
    assert wanted.items() <= shown.items()
    assert (shown["URL"], shown["Target"]) == ("http://nsnet2.audio.svc", "20ms")
    assert shown["Age"]
