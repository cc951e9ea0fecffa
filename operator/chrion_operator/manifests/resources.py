"""Resources: what containers ask for, so that two pods on one node never share cores.

A replica sizes its lanes by its CPU limit, so a container always has one, and asks for as much: then the scheduler
never puts more lanes on a node than it has cores.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from chrion_api import ChrionModelSpec, InvalidField, Quantity
from chrion_operator.names import Object
from chrion_operator.nodes import NodeClass

DEFAULT_MEMORY = "1Gi"


def runtime_resources(spec: ChrionModelSpec, cls: NodeClass) -> Object:
    """The resources of a replica: the spec's, with CPU, memory and GPU where it names none."""
    return _complete(_parts(spec.runtime.resources), spec, cls)


def planner_resources(spec: ChrionModelSpec, cls: NodeClass) -> Object:
    """The resources of a planner: a replica's, unless the spec has its own for one of them."""
    own = _parts(spec.planner.resources)
    named = {name for part in own.values() for name in part}
    others = {
        part: {name: amount for name, amount in amounts.items() if name not in named}
        for part, amounts in _parts(spec.runtime.resources).items()
    }
    return _complete({part: {**others[part], **own[part]} for part in own}, spec, cls)


def without_gpu(resources: Object, spec: ChrionModelSpec) -> Object:
    """The same without the GPU, for containers that only prepare."""
    gpu = spec.devices.gpu_resource
    return {
        part: {name: amount for name, amount in amounts.items() if name != gpu} for part, amounts in resources.items()
    }


def check_run_memory(spec: ChrionModelSpec, resources: Object) -> None:
    """Raise InvalidField where runs may take more than the container: it would be killed before the limit holds."""
    runs, limit = spec.limits.run_memory, resources["limits"].get("memory")
    if runs is None or limit is None:
        return
    with suppress(ValueError):  # another way to write an amount, which the API server understands
        if runs.bytes > Quantity(limit).bytes:
            raise InvalidField(
                "spec.limits.runMemory", f"{runs} is more than the container's memory limit of {limit}: lower it"
            )


def as_text(resources: Mapping[str, Any]) -> Object:
    """The same with every amount as text: server-side apply refuses numbers before Kubernetes 1.21."""
    return {
        part: {name: str(amount) for name, amount in amounts.items()} if part in ("limits", "requests") else amounts
        for part, amounts in resources.items()
    }


def lanes(spec: ChrionModelSpec, cls: NodeClass) -> Object:
    """What of a planner's resources decides which lanes it plans for."""
    limits = planner_resources(spec, cls)["limits"]
    return {name: str(limits[name]) for name in ("cpu", spec.devices.gpu_resource) if name in limits}


def _parts(resources: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        part: {name: amount for name, amount in (resources.get(part) or {}).items() if amount is not None}
        for part in ("limits", "requests")
    }


def _complete(parts: dict[str, dict[str, Any]], spec: ChrionModelSpec, cls: NodeClass) -> Object:
    limits, requests = parts["limits"], parts["requests"]
    limits.setdefault("cpu", requests.get("cpu", str(spec.devices.cpu_lanes or 1)))
    requests.setdefault("cpu", limits["cpu"])
    if "memory" not in limits:
        requests.setdefault("memory", DEFAULT_MEMORY)
    gpu = spec.devices.gpu_resource
    asked = requests.pop(gpu, "1")
    if cls.gpu:
        limits.setdefault(gpu, asked)
    else:
        limits.pop(gpu, None)
    return parts
