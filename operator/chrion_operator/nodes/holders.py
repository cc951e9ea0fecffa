"""Holders: the pods that hold the GPUs that somebody waits for."""

from collections.abc import Iterable, Mapping

from chrion_operator.names import Object
from chrion_operator.nodes.amounts import whole_number

NAMED = 20
"""Pods that are told of; a sentence has no room for more."""


def gpu_holders(pods: Iterable[Object]) -> dict[str, tuple[str, ...]]:
    """For each extended resource `namespace/pod (N)` for each pod on a node that holds N of it, the greediest first."""
    found: dict[str, list[tuple[int, str]]] = {}
    for pod in pods:
        name = f"{pod['metadata'].get('namespace', 'default')}/{pod['metadata']['name']}"
        for resource, count in held_by(pod).items():
            found.setdefault(resource, []).append((-count, name))
    return {
        resource: tuple(f"{name} ({-count})" for count, name in sorted(of)[:NAMED]) for resource, of in found.items()
    }


def held_by(pod: Object) -> dict[str, int]:
    """How many of each extended resource the scheduler counts for a pod: none before it has a node or after its end."""
    spec, status = pod.get("spec", {}), pod.get("status", {})
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return {}
    running: dict[str, int] = {}
    for container in spec.get("containers", ()):
        for resource, count in _asked(container).items():
            running[resource] = running.get(resource, 0) + count
    for container in spec.get("initContainers", ()):
        for resource, count in _asked(container).items():
            running[resource] = max(running.get(resource, 0), count)
    return {resource: count for resource, count in running.items() if count}


def _asked(container: Object) -> Mapping[str, int]:
    resources = container.get("resources", {})
    asked = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    return {resource: whole_number(amount) for resource, amount in asked.items() if "/" in resource}
