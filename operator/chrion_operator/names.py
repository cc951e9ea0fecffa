"""Names: what the operator calls the objects it makes, and the labels and annotations that it finds them by."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Literal

from chrion_api.chrionmodel import GROUP, KIND, VERSION

Object = dict[str, Any]
"""A Kubernetes object as plain JSON data."""


class UnreadablePart(str):
    """What stands in an object for a part that is too deep or too large to be read: a sentence that says which."""


Component = Literal["planner", "plan", "figures", "frontier", "slo", "runtime", "service"]
"""What an object is for: the value of the component label."""

FIELD_MANAGER = "chrion-operator"
API_VERSION = f"{GROUP}/{VERSION}"

NAME_LABEL = "app.kubernetes.io/name"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
COMPONENT_LABEL = "app.kubernetes.io/component"
MODEL_LABEL = f"{GROUP}/model"
CLASS_LABEL = f"{GROUP}/node-class"
REVISION_LABEL = f"{GROUP}/revision"
"""On what belongs to one revision: the planner's Job, frontiers, the runtime's pods."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"

MANAGED = f"{MANAGED_BY_LABEL}=chrion"
"""Selects everything that the operator made."""

REPLAN_ANNOTATION = f"{GROUP}/replan"
"""On a ChrionModel: plan again whenever its value changes."""
DIGEST_ANNOTATION = f"{GROUP}/digest"
"""On a frontier ConfigMap: SHA-256 of its plan file, as `CheckedPlan.digest`."""
SLO_ANNOTATION = f"{GROUP}/slo"
"""On the SLO ConfigMap and on pods: the digest of the objective."""

SLO_KEY = "slo.json"

LABEL_LIMIT = 63
WORKLOAD_LIMIT = 52
"""Deployments and Jobs give their pods names that are up to 11 characters longer than their own."""


def object_name(*parts: str, limit: int = LABEL_LIMIT) -> str:
    """The parts as one name that every kind of object may have: a DNS label of at most `limit` characters.

    What does not fit (dots, a digit in front, too many characters) is changed, and a hash of the whole is added
    so that different parts never give one name by being cut.
    """
    whole = "-".join(parts)
    name = _dns(whole)
    if name != whole or len(name) > limit:
        return f"{name[: limit - 9].rstrip('-')}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
    return name


def may_begin(name: str, *parts: str) -> bool:
    """Whether a name may be an `object_name` whose parts begin with these."""
    return name.startswith(_dns("-".join((*parts, "")))[: LABEL_LIMIT - 9].rstrip("-"))


def _dns(whole: str) -> str:
    name = re.sub(r"[^a-z0-9-]", "-", whole.lower())
    return name if name[:1].isalpha() else f"m{name}"


def label_value(text: str) -> str:
    """The text as a label's value, cut and with a hash where it is too long; may hold dots."""
    return text if len(text) <= LABEL_LIMIT else object_name(text)


def model_name(owner: Mapping[str, Any]) -> str:
    """The ChrionModel's name."""
    return str(owner["metadata"]["name"])


def namespace(owner: Mapping[str, Any]) -> str:
    """The ChrionModel's namespace."""
    return str(owner["metadata"]["namespace"])


def planner_name(model: str, cls: str) -> str:
    """The ServiceAccount, Role and RoleBinding of a planner."""
    return object_name(model, "planner", cls)


def plan_name(model: str, cls: str) -> str:
    """The ConfigMap that a planner writes."""
    return object_name(model, "plan", cls)


def figures_name(cls: str) -> str:
    """The ConfigMap of what planners measured on a node class, for all models of its namespace."""
    return object_name("chrion", "figures", cls)


def job_name(model: str, cls: str, revision: str) -> str:
    """A planner's Job."""
    return object_name(model, "plan", cls, revision, limit=WORKLOAD_LIMIT)


def frontier_name(model: str, cls: str, revision: str) -> str:
    """The ConfigMap of validated plans that pods mount."""
    return object_name(model, "frontier", cls, revision)


def slo_name(model: str) -> str:
    """The ConfigMap of the objective."""
    return object_name(model, "slo")


def deployment_name(model: str, cls: str) -> str:
    """The Deployment of a node class."""
    return object_name(model, cls, limit=WORKLOAD_LIMIT)


def service_name(model: str) -> str:
    """The Service, PodDisruptionBudget and ServiceMonitor."""
    return object_name(model)


def url(owner: Mapping[str, Any]) -> str:
    """Where the model answers inside the cluster."""
    return f"http://{service_name(model_name(owner))}.{namespace(owner)}.svc"


def selector(model: str, component: Component, cls: str | None = None) -> dict[str, str]:
    """The labels that select a component's objects of a model, of one node class or of all."""
    labels = {NAME_LABEL: "chrion", COMPONENT_LABEL: component, MODEL_LABEL: label_value(model)}
    if cls is not None:
        labels[CLASS_LABEL] = label_value(cls)
    return labels


def selector_text(model: str) -> str:
    """The label selector of a model's replicas as text, for the scale subresource."""
    return ",".join(f"{key}={value}" for key, value in sorted(selector(model, "runtime").items()))


def labels(model: str, component: Component, cls: str | None = None, revision: str | None = None) -> dict[str, str]:
    """The labels of what the operator makes."""
    found = {**selector(model, component, cls), MANAGED_BY_LABEL: "chrion"}
    return found if revision is None else {**found, REVISION_LABEL: revision}


def shared_labels(component: Component, cls: str) -> dict[str, str]:
    """The labels of what the operator makes for several models at once."""
    found = {NAME_LABEL: "chrion", COMPONENT_LABEL: component, CLASS_LABEL: label_value(cls)}
    return {**found, MANAGED_BY_LABEL: "chrion"}


def owner_reference(owner: Mapping[str, Any]) -> Object:
    """The reference by which Kubernetes deletes an object after its ChrionModel, never waiting for it."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": model_name(owner),
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }
