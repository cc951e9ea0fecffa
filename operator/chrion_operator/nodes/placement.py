"""Placement: which nodes the pods of a spec may go to, as the scheduler would have it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chrion_api import ChrionModelSpec
from chrion_operator.names import Object
from chrion_operator.nodes.amounts import whole_number
from chrion_operator.settings import Settings

PASSING_TAINTS = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
"""Taints that Kubernetes sets and takes away as a node's health changes."""


@dataclass(frozen=True)
class Placement:
    """Where a model's pods may go."""

    selector: Mapping[str, str]
    """Labels that a node needs."""
    tolerations: Sequence[Mapping[str, Any]]
    """Taints that do not matter."""
    gpus: int
    """GPUs of one replica; 1 where the spec does not say."""

    @classmethod
    def of(cls, spec: ChrionModelSpec, settings: Settings) -> "Placement":
        """What the runtime's options, the operator's pod template and its own add up to, as in a pod."""
        templates = [template.get("spec") or {} for template in (settings.pod_template, spec.runtime.pod_template)]
        resource = spec.devices.gpu_resource
        selector: dict[str, str | None] = dict(spec.runtime.node_selector)
        for template in templates:
            selector |= template.get("nodeSelector") or {}
        asked = [spec.runtime.resources.get(part) or {} for part in ("limits", "requests")]
        return cls(
            selector={label: value for label, value in selector.items() if value is not None},
            tolerations=[
                *gpu_tolerations(resource),
                *spec.runtime.tolerations,
                *(entry for template in templates for entry in template.get("tolerations") or ()),
            ],
            gpus=next((count for part in asked if (count := whole_number(part.get(resource, 0)))), 1),
        )

    def lets_onto(self, node: Object) -> bool:
        """Whether the scheduler would ever put a pod onto this node."""
        labels = node["metadata"].get("labels") or {}
        if labels.get("kubernetes.io/os", "linux") != "linux":
            return False
        if any(labels.get(key) != value for key, value in self.selector.items()):
            return False
        taints = (node.get("spec") or {}).get("taints") or ()
        return all(self._bears(taint) for taint in taints)

    def _bears(self, taint: Mapping[str, Any]) -> bool:
        if taint.get("effect") == "PreferNoSchedule" or taint["key"].startswith(PASSING_TAINTS):
            return True
        return any(_tolerates(toleration, taint) for toleration in self.tolerations)


def gpu_tolerations(resource: str) -> list[Object]:
    """The toleration that Kubernetes' ExtendedResourceToleration gives to pods that ask for an extended resource."""
    return [{"key": resource, "operator": "Exists", "effect": "NoSchedule"}] if resource else []


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("key") not in (None, "", taint["key"]):
        return False
    exists = toleration.get("operator") == "Exists"
    return exists or (bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", ""))
