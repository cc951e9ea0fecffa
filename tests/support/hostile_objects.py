"""Objects that a namespace may write to harm others: deep, large, inflating, or of values that nobody expects."""

import base64
import gzip
import json
from functools import cache
from typing import Any

from tests.support.objects import MODEL_DIGEST


def nested(levels: int) -> str:
    """A JSON text of an object in an object."""
    return '{"a":' * levels + "1" + "}" * levels


def chrionmodel(name: str, namespace: str, template: str = "{}", version: int = 2, more: str = "") -> str:
    """A ChrionModel whose pod template is any text."""
    metadata = (
        f'{{"name":"{name}","namespace":"{namespace}","uid":"{name}","generation":1,"resourceVersion":"{version}"'
    )
    spec = f'{{"model":{{"uri":"https://models.example/m.onnx"}},"devices":{{"gpuResource":""}},"runtime":{{"podTemplate":{template}}}}}'
    kind = '"apiVersion":"chrion.dev/v1alpha1","kind":"ChrionModel"'
    return f'{{{kind},"metadata":{metadata}{more}}},"spec":{spec}}}'


def plan_configmap(name: str, model: str, namespace: str, **content: Any) -> dict[str, Any]:
    """A ConfigMap that passes for one of a ChrionModel's plans."""
    labels = {
        "app.kubernetes.io/managed-by": "chrion",
        "app.kubernetes.io/component": "plan",
        "chrion.dev/model": model,
        "chrion.dev/node-class": "cpu",
    }
    owner = {
        "kind": "ChrionModel",
        "name": model,
        "uid": model,
        "apiVersion": "chrion.dev/v1alpha1",
        "controller": True,
    }
    metadata = {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "5", "labels": labels}
    return {"metadata": {**metadata, "ownerReferences": [owner]}, **content}


def plan_text(stages: list[Any]) -> str:
    """A plan file of any stages."""
    plan = {"name": "p", "graph": MODEL_DIGEST, "predictedSeconds": 0, "stages": stages}
    buckets = [{"inputs": {}, "plans": [plan]}]
    return json.dumps({"version": 1, "model": MODEL_DIGEST, "devices": {}, "buckets": buckets})


@cache
def plans() -> dict[str, dict[str, Any]]:
    """The data of plan ConfigMaps that cost more than they are worth, by what they are."""
    stage = {"nodes": "0-9999999", "lanes": ["cpu/0"]}
    good = plan_text([{"nodes": "0", "lanes": ["cpu/0"]}])

    def plain(text: str) -> dict[str, Any]:
        return {"data": {"plan.json": text}}

    def inflating(text: bytes) -> dict[str, Any]:
        return {"binaryData": {"plan.json": base64.b64encode(gzip.compress(text, 9)).decode()}}

    return {
        "one range": plain(plan_text([stage])),
        "many ranges": plain(plan_text([stage] * 20_000)),
        "inflating to small objects": inflating(b'{"a":[' + b"{}," * (7 << 20 >> 2) + b"{}]}"),
        "inflating to wrong stages": inflating(plan_text([0]).replace("[0]", f"[{'0,' * 450_000}0]").encode()),
        "inflating to one text": inflating(b'{"a":"' + b"x" * (7 << 20) + "😀".encode() + b'"}'),
        "inflating without end": inflating(b" " * (40 << 20)),
        "deep": plain(f'{{"version":1,"model":{nested(983)}}}'),
        "very deep": plain("[" * 400_000),
        "surrogate": plain(good.replace('"p"', '"\\ud800"')),
        "name that is a surrogate": plain(good.replace('"version"', '"\\ud800": 1, "version"')),
        "huge number": plain(good.replace('"version": 1', f'"version": {"9" * 5000}')),
        "no number": plain(good.replace('"predictedSeconds": 0', '"predictedSeconds": NaN')),
        "endless number": plain(good.replace('"predictedSeconds": 0', '"predictedSeconds": 1e400')),
        "shape beyond all": plain(good.replace('"inputs": {}', '"inputs": {"a": [1e30]}')),
        "no object": plain("null"),
    }


def poison() -> dict[str, dict[str, Any]]:
    """ConfigMaps that are no ConfigMaps."""
    good = plan_configmap("x-plan-cpu", "x", "evil")
    metadata = good["metadata"]
    return {
        "no labels": {**good, "metadata": {**metadata, "labels": None}},
        "no data": {**good, "data": None, "binaryData": None},
        "data of another kind": {**good, "data": ["plan.json"]},
        "text of another kind": {**good, "data": {"plan.json": {"a": 1}}},
        "no metadata": {"data": {}},
        "metadata of another kind": {"metadata": "x"},
        "no version": {**good, "metadata": {**metadata, "resourceVersion": None}},
        "a version that is no number": {**good, "metadata": {**metadata, "resourceVersion": "v"}},
        "owners of another kind": {**good, "metadata": {**metadata, "ownerReferences": [7]}},
        "an owner without a name": {**good, "metadata": {**metadata, "ownerReferences": [{"kind": "ChrionModel"}]}},
        "a name that is a number": {**good, "metadata": {**metadata, "name": 7}},
    }
