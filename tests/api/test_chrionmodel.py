"""ChrionModel: every field parses, survives a round trip, and is refused by its path when it is wrong."""

import copy
from typing import Any

import pytest

from chrion_api import SLO, ChrionModel, Duration, InvalidDocument, InvalidField, Mode, Quantity

DIGEST = "5c9e" * 16

EVERY_FIELD = f"""
apiVersion: chrion.dev/v1alpha1
kind: ChrionModel
metadata:
  name: nsnet2
  namespace: audio
  labels: {{team: speech}}
spec:
  model:
    uri: pvc://models/nsnet2.onnx
    sha256: {DIGEST}
    secretRef: {{name: s3-credentials}}
  inputs:
    - {{name: input, shapes: [[1, 50, 161], [1, 200, 161]]}}
    - {{name: sr, shape: [], value: 16000}}
  state:
    - {{output: stateN, input: state}}
  slo:
    latency: 20ms
    percentile: 99
    load: {{concurrency: 1}}
    gpuMemory: 256Mi
  mode: Auto
  paused: false
  planRef: {{name: my-frontier}}
  devices: {{gpuResource: nvidia.com/gpu, cpuLanes: 0}}
  planner:
    timeout: 10m
    resources: {{limits: {{cpu: "2"}}}}
    nodeSelector: {{pool: gpu}}
    tolerations: [{{key: gpu, operator: Exists}}]
    podTemplate: {{metadata: {{labels: {{a: b}}}}}}
    queueName: batch
  runtime:
    replicas: 2
    resources: {{}}
    nodeSelector: {{}}
    tolerations: []
    podTemplate: {{}}
"""

SMALLEST: dict[str, Any] = {
    "apiVersion": "chrion.dev/v1alpha1",
    "kind": "ChrionModel",
    "metadata": {"name": "m"},
    "spec": {"model": {"uri": "file://m.onnx"}},
}


def with_spec(**fields: Any) -> dict[str, Any]:
    document = copy.deepcopy(SMALLEST)
    document["spec"].update(fields)
    return document


def refusal(document: Any) -> str:
    with pytest.raises(InvalidField) as caught:
        ChrionModel.parse(document)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_field_of_the_design_parses() -> None:
    model = ChrionModel.from_yaml(EVERY_FIELD)
    spec = model.spec
    assert model.metadata.name == "nsnet2"
    assert spec.model.sha256 == DIGEST
    assert spec.model.secret_ref is not None
    assert spec.model.secret_ref.name == "s3-credentials"
    assert spec.inputs[0].buckets == ((1, 50, 161), (1, 200, 161))
    assert spec.inputs[1].buckets == ((),)
    assert spec.inputs[1].value == 16000
    assert (spec.state[0].output, spec.state[0].input) == ("stateN", "state")
    assert spec.slo.latency is not None
    assert spec.slo.latency.seconds == pytest.approx(0.02)
    assert spec.slo.load.concurrency == 1
    assert spec.slo.gpu_memory is not None
    assert spec.slo.gpu_memory.bytes == 256 << 20
    assert spec.mode is Mode.AUTO
    assert spec.plan_ref is not None
    assert spec.devices.gpu_resource == "nvidia.com/gpu"
    assert spec.planner.timeout.seconds == 600
    assert spec.planner.tolerations == ({"key": "gpu", "operator": "Exists"},)
    assert spec.planner.queue_name == "batch"
    assert spec.runtime.replicas == 2


def test_round_trip_keeps_everything_as_it_was_written() -> None:
    model = ChrionModel.from_yaml(EVERY_FIELD)
    again = ChrionModel.from_json(model.to_json())
    assert again == model
    assert again.to_json() == model.to_json()
    assert model.to_data()["spec"]["slo"]["gpuMemory"] == "256Mi"
    assert model.to_data()["metadata"]["labels"] == {"team": "speech"}


def test_defaults() -> None:
    spec = ChrionModel.parse(SMALLEST).spec
    assert spec.slo == SLO()
    assert (spec.slo.percentile, spec.mode, spec.paused) == (99, Mode.AUTO, False)
    assert (spec.runtime.replicas, spec.planner.timeout, spec.devices.cpu_lanes) == (1, "10m", 0)


def test_the_fields_that_plans_depend_on() -> None:
    spec = ChrionModel.from_yaml(EVERY_FIELD).spec
    assert spec.plan_inputs() == {name: spec.to_data()[name] for name in ("model", "inputs", "devices")}


def test_a_quantity_may_be_written_as_a_number() -> None:
    budget = ChrionModel.parse(with_spec(slo={"gpuMemory": 1_000_000})).spec.slo.gpu_memory
    assert budget == Quantity("1000000")


@pytest.mark.parametrize(
    ("mode", "latency", "resolved"),
    [
        (Mode.AUTO, None, Mode.LATENCY),
        (Mode.AUTO, "20ms", Mode.MEMORY),
        (Mode.LATENCY, "20ms", Mode.LATENCY),
        (Mode.MEMORY, None, Mode.MEMORY),
    ],
)
def test_auto_means_memory_when_a_latency_is_asked_for(mode: Mode, latency: str | None, resolved: Mode) -> None:
    assert mode.resolve(SLO(latency=Duration(latency) if latency else None)) is resolved


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"slo": {"latency": "20 bananas"}}, 'spec.slo.latency: "20 bananas" is not a duration such as 20ms'),
        ({"slo": {"latency": 20}}, "spec.slo.latency: 20 is not a duration such as 20ms"),
        ({"slo": {"gpuMemory": "1500m"}}, 'spec.slo.gpuMemory: "1500m" is not a quantity of bytes such as 256Mi'),
        ({"limits": {"runMemory": 0}}, "spec.limits.runMemory: must be greater than zero"),
        ({"limits": {"runMemory": "-1Gi"}}, 'spec.limits.runMemory: "-1Gi" is not a quantity of bytes such as 256Mi'),
        ({"slo": {"gpuMemory": True}}, "spec.slo.gpuMemory: true is not a quantity of bytes such as 256Mi"),
        ({"slo": {"percentile": 100}}, "spec.slo.percentile: 100: input should be less than 100"),
        ({"precision": {"maxError": 0.1}}, "spec.precision.weights: is required"),
        (
            {"precision": {"weights": "Int8", "maxError": 0}},
            "spec.precision.maxError: 0: input should be greater than 0",
        ),
        (
            {"slo": {"load": {"concurrency": 1, "requestsPerSecond": 2}}},
            "spec.slo.load: give concurrency or requestsPerSecond, not both",
        ),
        ({"slo": {"latancy": "20ms"}}, "spec.slo.latancy: is not a known field"),
        ({"mode": "Fast"}, "spec.mode: \"Fast\": input should be 'Auto', 'Latency' or 'Memory'"),
        ({"model": None}, "spec.model: null: expected named fields"),
        ({"model": {}}, "spec.model.uri: is required"),
        (
            {"model": {"uri": "ftp://a"}},
            'spec.model.uri: "ftp://a" is not a model URI; it must start with one of https://, hf://, s3://, gs://, '
            "pvc://, oci://, configmap://, file://",
        ),
        (
            {"model": {"uri": "hf://owner/net"}},
            'spec.model.uri: "hf://owner/net" is not of the form hf://OWNER/REPO/PATH[@REVISION]',
        ),
        ({"inputs": {"name": "x"}}, 'spec.inputs: {"name": "x"}: expected a list'),
        (
            {"inputs": [{"name": "x", "shape": [1], "shapes": [[1]]}]},
            "spec.inputs[0]: give shape or shapes, not both",
        ),
        ({"inputs": [{"name": "x"}, {"name": "x"}]}, 'spec.inputs: "x" is given 2 times'),
        (
            {"inputs": [{"name": "x", "shapes": [[1], [2]]}, {"name": "y", "shapes": [[1], [2], [3]]}]},
            "spec.inputs: give each input one shape, or as many as there are buckets; got [2, 3]",
        ),
        ({"inputs": [{"name": "x", "value": "many"}]}, "spec.inputs[0].value: must be a number, true or false"),
        ({"planner": {"timeout": None}}, "spec.planner.timeout: null is not a duration such as 20ms"),
    ],
)
def test_an_error_names_the_field(fields: dict[str, Any], text: str) -> None:
    assert refusal(with_spec(**fields)) == text


def test_an_error_names_the_axis() -> None:
    text = refusal(with_spec(inputs=[{"name": "x", "shapes": [[1, 2], [1, -2]]}]))
    assert text.startswith("spec.inputs[0].shapes[1][1]: -2: ")


def test_an_error_names_every_field_at_fault() -> None:
    text = refusal(with_spec(slo={"latency": "soon"}, paused="maybe"))
    assert text.startswith('spec.slo.latency: "soon" is not a duration such as 20ms; spec.paused: "maybe": ')


def test_an_error_names_the_file() -> None:
    with pytest.raises(InvalidField) as caught:
        ChrionModel.from_yaml("{apiVersion: chrion.dev/v1, kind: ChrionModel, metadata: {name: m}, spec: {}}", "m.yaml")
    assert str(caught.value).startswith("m.yaml: apiVersion: ")


@pytest.mark.parametrize(
    "text", ["", "[1, 2]", "just words", "a: [", "\x00", "a: 2026-13-45", "[" * 100_000, b"\xff\xfe\x00"]
)
def test_what_is_no_document_is_one_line(text: str | bytes) -> None:
    for read in (ChrionModel.from_yaml, ChrionModel.from_json):
        with pytest.raises(InvalidDocument) as caught:
            read(text, "m.yaml")
        assert str(caught.value).startswith("m.yaml: ")
        assert "\n" not in str(caught.value)


def test_values_are_frozen_and_fields_are_kept() -> None:
    model = ChrionModel.parse(SMALLEST)
    with pytest.raises(ValueError, match="frozen"):
        model.spec = model.spec  # type: ignore[misc]
