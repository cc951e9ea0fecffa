"""Manifests: the objects of a model as plain data, each from a pure function; one file a kind."""

from chrion_operator.manifests.configmaps import (
    figures_configmap,
    frontier_configmap,
    plan_configmap,
    slo_configmap,
    slo_digest,
)
from chrion_operator.manifests.deployment import deployment
from chrion_operator.manifests.disruption_budget import pod_disruption_budget
from chrion_operator.manifests.job import planner_job
from chrion_operator.manifests.rbac import role, role_binding, service_account
from chrion_operator.manifests.server import Server
from chrion_operator.manifests.service import service
from chrion_operator.manifests.service_monitor import service_monitor

__all__ = [
    "Server",
    "deployment",
    "figures_configmap",
    "frontier_configmap",
    "plan_configmap",
    "planner_job",
    "pod_disruption_budget",
    "role",
    "role_binding",
    "service",
    "service_account",
    "service_monitor",
    "slo_configmap",
    "slo_digest",
]
