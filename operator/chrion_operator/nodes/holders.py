"""Holders: the pods that hold the GPUs that somebody waits for."""

from collections.abc import Sequence

from chrion_operator.names import Object
from chrion_operator.nodes.amounts import whole_number


def gpu_holders(resource: str, pods: Sequence[Object]) -> tuple[str, ...]:
    """`namespace/pod (N)` for each pod on a node that holds N of the resource, the greediest first."""
    held = {
        f"{pod['metadata'].get('namespace', 'default')}/{pod['metadata']['name']}": held_by(resource, pod)
        for pod in pods
    }
    holders = sorted((pod for pod in held if held[pod]), key=lambda pod: (-held[pod], pod))
    return tuple(f"{pod} ({held[pod]})" for pod in holders)


def held_by(resource: str, pod: Object) -> int:
    """How many of a resource the scheduler counts for a pod: none before it has a node, none after its end."""
    spec, status = pod.get("spec", {}), pod.get("status", {})
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    running = sum(_asked(resource, container) for container in spec.get("containers", ()))
    starting = max((_asked(resource, container) for container in spec.get("initContainers", ())), default=0)
    return max(running, starting)


def _asked(resource: str, container: Object) -> int:
    resources = container.get("resources", {})
    limits, requests = resources.get("limits", {}), resources.get("requests", {})
    return whole_number(limits.get(resource, requests.get(resource, 0)))
