"""Takes off what nobody here reads of an object, before it is kept: what is left is small."""

from typing import Any

from chrion_api.chrionmodel import KIND
from chrion_operator.cluster.kinds import CONFIG_MAP, JOB, POD, REPLICA_SET, Kind
from chrion_operator.names import COMPONENT_LABEL, REPLAN_ANNOTATION, SLO_KEY, Object, may_begin
from chrion_operator.reconcile.observed import SeenObject
from chrion_operator.reconcile.summary import unread

MAX_OBJECTIVE = 4096
"""The most characters that an objective of ours has; a longer one was written by someone else, and is replaced."""
_CONDITIONS = ("type", "status", "reason", "message")


def trim(kind: Kind, thing: Object, before: SeenObject | None = None) -> SeenObject:
    """The object without managers and, by its kind, without data, specs and details of its status.

    `before` is what was kept of it until now: a plan that did not change need not be read again, and the object stays
    settled as long as only its status changes. Plans are not read here: that is for who looks at their model.
    """
    kept = without_managers(thing)
    plan = None
    if kind is CONFIG_MAP:
        if may_hold_plan(kept["metadata"]):
            plan = unread(kept, before.plan if before is not None else None)
        kept = {"metadata": kept["metadata"], "data": _objective(kept)}
    elif kind is POD:
        kept = {"metadata": kept["metadata"], "spec": _only(kept["spec"], "nodeName"), "status": _pod_status(kept)}
    elif kind is REPLICA_SET:
        kept = {"metadata": kept["metadata"], "spec": {"replicas": kept["spec"].get("replicas", 0)}}
    elif kind is JOB:
        kept = {"metadata": kept["metadata"], "spec": _only(kept["spec"], "suspend"), "status": kept.get("status", {})}
    if kind not in (POD, REPLICA_SET) and not owners(kept["metadata"]):
        kept = {"metadata": kept["metadata"]}
    settled = before.settled if before is not None and _same_but_status(kept, before.object) else None
    return SeenObject(kept, plan, settled)


def may_hold_plan(metadata: Object) -> bool:
    """Whether a ConfigMap has an owner and a name by which its plan is wanted; labels alone say nothing."""
    component = (metadata.get("labels") or {}).get(COMPONENT_LABEL)
    return component in ("plan", "frontier") and any(
        may_begin(metadata["name"], owner["name"], component) for owner in owners(metadata)
    )


def owners(metadata: Object) -> list[Object]:
    """The references to ChrionModels that own an object."""
    return [owner for owner in metadata.get("ownerReferences") or () if owner["kind"] == KIND]


def trim_model(thing: Object) -> Object:
    """The ChrionModel without managers and without others' annotations: kubectl's has the whole of it once more."""
    kept = without_managers(thing)
    annotations = kept["metadata"].get("annotations") or {}
    return {**kept, "metadata": {**kept["metadata"], "annotations": _only(annotations, REPLAN_ANNOTATION)}}


def trim_node(node: Object) -> Object:
    """What tells a node's class and how many replicas it holds; heartbeats, images and health change none of it."""
    status = node.get("status", {})
    metadata = node["metadata"]
    return {
        "metadata": {"name": metadata["name"], "labels": metadata.get("labels", {})},
        "spec": _only(node.get("spec", {}), "unschedulable", "taints"),
        "status": {
            "allocatable": _only_devices(status.get("allocatable", {})),
            "capacity": _only_devices(status.get("capacity", {})),
        },
    }


def without_managers(thing: Object) -> Object:
    """The object without managedFields, which are most of it."""
    metadata = {name: value for name, value in thing["metadata"].items() if name != "managedFields"}
    return {**thing, "metadata": metadata}


def _objective(configmap: Object) -> Object:
    data = configmap.get("data")
    objective = data.get(SLO_KEY, "") if isinstance(data, dict) else ""
    return {SLO_KEY: objective} if 0 < len(objective) <= MAX_OBJECTIVE else {}


def _pod_status(pod: Object) -> Object:
    status = pod.get("status", {})
    return {
        **_only(status, "phase", "reason", "message", "podIP", "startTime"),
        "conditions": [_only(condition, *_CONDITIONS) for condition in status.get("conditions", ())],
        **{
            field: [
                _only(container, "name", "ready", "restartCount", "state", "lastState", "image")
                for container in status[field]
            ]
            for field in ("initContainerStatuses", "containerStatuses")
            if field in status
        },
    }


def _only_devices(resources: dict[str, Any]) -> dict[str, Any]:
    """CPU and what devices are named by; memory and disk move a little all the time on some clouds."""
    return {name: value for name, value in resources.items() if name == "cpu" or "/" in name}


def _only(thing: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: thing[name] for name in names if name in thing}


def _same_but_status(one: Object, other: Object) -> bool:
    return _substance(one) == _substance(other)


def _substance(thing: Object) -> Object:
    metadata = {
        name: value for name, value in thing["metadata"].items() if name not in ("resourceVersion", "generation")
    }
    return {**{name: value for name, value in thing.items() if name != "status"}, "metadata": metadata}
