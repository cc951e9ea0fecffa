"""ConfigMaps: where a planner hands in its plan and keeps its figures, the plans that pods serve by, the objective."""

from chrion_api import ChrionModelSpec, Objective
from chrion_api.handover import REVISION_ANNOTATION
from chrion_operator.canonical import digest
from chrion_operator.manifests.meta import metadata
from chrion_operator.names import (
    DIGEST_ANNOTATION,
    SLO_ANNOTATION,
    SLO_KEY,
    Object,
    figures_name,
    frontier_name,
    model_name,
    namespace,
    owner_reference,
    plan_name,
    shared_labels,
    slo_name,
)
from chrion_operator.nodes import NodeClass
from chrion_operator.plans import CheckedPlan


def plan_configmap(owner: Object, cls: NodeClass, revision: str) -> Object:
    """Where the planner of a node class hands in its plan: without data, which is the planner's to write."""
    name = plan_name(model_name(owner), cls.name)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(owner, name, "plan", cls.name, {REVISION_ANNOTATION: revision}),
    }


def figures_configmap(owner: Object, cls: NodeClass) -> Object:
    """What planners measured on a node class, for all models of the namespace: its data is theirs to write.

    Each of these models owns it and none controls it, so that the server deletes it after the last of them.
    """
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": figures_name(cls.name),
            "namespace": namespace(owner),
            "labels": shared_labels("figures", cls.name),
            "ownerReferences": [{**owner_reference(owner), "controller": False}],
        },
    }


def frontier_configmap(owner: Object, cls: NodeClass, revision: str, plan: CheckedPlan) -> Object:
    """The checked plans of a revision, which its pods mount."""
    name = frontier_name(model_name(owner), cls.name, revision)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(owner, name, "frontier", cls.name, {DIGEST_ANNOTATION: plan.digest}, revision),
        **{field: dict(content) for field, content in plan.payload.items()},
    }


def slo_configmap(owner: Object, spec: ChrionModelSpec) -> Object:
    """The objective, which every pod of the model mounts and watches."""
    name = slo_name(model_name(owner))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(owner, name, "slo", annotations={SLO_ANNOTATION: slo_digest(spec)}),
        "data": {SLO_KEY: Objective.of(spec.slo, spec.mode).to_json()},
    }


def slo_digest(spec: ChrionModelSpec) -> str:
    """10 hex digits of the objective: what pods are annotated with, so that the kubelet looks at their volumes."""
    return digest(Objective.of(spec.slo, spec.mode).to_data())[:10]
