"""Kubernetes objects as an API server would hand them out: ChrionModels, nodes and pods."""

from typing import Any

from chrion_api import ChrionModelSpec, DeviceKey, Frontier, Plan, PlanFile, Stage

Object = dict[str, Any]

MODEL_DIGEST = "a" * 64


def owner(name: str = "nsnet2", **metadata: Any) -> Object:
    """A ChrionModel as read, with as much of it as manifests need."""
    return {"metadata": {"name": name, "namespace": "audio", "uid": "0-1-2", **metadata}}


def spec(**fields: Any) -> ChrionModelSpec:
    """A spec of a model on a claim, with these fields."""
    return ChrionModelSpec.parse({"model": {"uri": "pvc://models/nsnet2.onnx"}, **fields}, "spec")


def node(name: str = "n", gpus: Object | None = None, taints: list[Object] | None = None, **labels: str) -> Object:
    """A node with so many of each extended resource; `_` in a label's name stands for `/`."""
    return {
        "metadata": {"name": name, "labels": {key.replace("_", "/", 1): value for key, value in labels.items()}},
        "spec": {"taints": taints or []},
        "status": {"allocatable": {"cpu": "4", **(gpus or {})}, "capacity": {"cpu": "4", **(gpus or {})}},
    }


def pod(name: str, requests: Object, node_name: str | None = "n", phase: str = "Running") -> Object:
    """A pod of one container that asks for these resources."""
    return {
        "metadata": {"name": name, "namespace": "audio"},
        "spec": {
            "containers": [{"name": "main", "resources": {"limits": requests}}],
            **({"nodeName": node_name} if node_name else {}),
        },
        "status": {"phase": phase},
    }


def plan_file(model: str = MODEL_DIGEST) -> PlanFile:
    """A plan file of one plan, of one stage on one lane."""
    stage = Stage(nodes=(0,), lanes=("cpu/0",))
    plan = Plan(name="cpu-all", graph="b" * 64, stages=(stage,), predicted_seconds=0.001)
    return PlanFile(
        model=model,
        devices={"cpu": DeviceKey(product="A CPU", cores=1, onnxruntime="1.31.1")},
        buckets=(Frontier(inputs={"input": (1, 50, 161)}, plans=(plan,)),),
    )
