"""Classes: nodes that one plan holds for, told apart by the labels of their GPUs and processors.

GPU labels are those of NVIDIA's GPU feature discovery, processor labels those of Node Feature Discovery (NFD).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chrion_api import ChrionModelSpec, Devices
from chrion_operator.names import Object
from chrion_operator.nodes.amounts import whole_number
from chrion_operator.nodes.placement import Placement
from chrion_operator.settings import Settings

ARCH = "kubernetes.io/arch"
CPU_MODEL = tuple(f"feature.node.kubernetes.io/cpu-model.{part}" for part in ("vendor_id", "family", "id"))

DEFAULT_GPU = Devices().gpu_resource
"""The one resource that is asked for unless told otherwise, and so the one that a cluster may lack."""


@dataclass(frozen=True)
class Requirement:
    """A requirement on a node's label, as node affinity has it."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    @classmethod
    def same(cls, key: str, labels: Mapping[str, str]) -> "Requirement":
        """What nodes with the same value of a label, or with the same lack of it, have in common."""
        return cls(key, "In", (labels[key],)) if key in labels else cls(key, "DoesNotExist")

    def to_data(self) -> Object:
        """As a nodeSelectorTerm's matchExpressions hold it."""
        return {"key": self.key, "operator": self.operator, **({"values": [*self.values]} if self.values else {})}


@dataclass(frozen=True)
class NodeClass:
    """Nodes that one plan holds for."""

    name: str
    """A DNS label, the same for the same hardware in every cluster."""
    gpu: bool
    """Whether its pods ask for the GPU resource."""
    requirements: tuple[Requirement, ...] = ()
    """What tells its nodes from others; empty where the pod's node selector has to do."""
    nodes: int = 0
    """Its nodes; 0 where nodes may not be read or none is there yet."""
    slots: int = 0
    """How many replicas it has room for: by allocatable GPUs, or one a node."""


def node_classes(spec: ChrionModelSpec, nodes: Sequence[Object] | None, settings: Settings) -> tuple[NodeClass, ...]:
    """The classes of the nodes that the model may run on, by name; never none.

    A node counts if the runtime's node selector and tolerations let a pod onto it, whether or not it is ready or
    cordoned now, so that classes do not come and go with a node's health. Where any such node has the GPU resource,
    those that have it count; where none has the default resource, all count, without a GPU. Where nodes may not be
    read (None), none matches or none has a resource that was asked for by name, the spec alone makes one class.
    """
    placement = Placement.of(spec, settings)
    able = [node for node in nodes or () if placement.lets_onto(node)]
    resource = spec.devices.gpu_resource
    with_gpu = [node for node in able if resource and _count(node, resource, "capacity", "allocatable")]
    if with_gpu:
        return _grouped(with_gpu, resource, placement.gpus)
    if able and resource in ("", DEFAULT_GPU):
        return _grouped(able, "", 1)
    name, _ = _identity(placement.selector, resource)
    return (NodeClass(name, gpu=bool(resource)),)


def _grouped(nodes: Sequence[Object], resource: str, gpus: int) -> tuple[NodeClass, ...]:
    groups: dict[tuple[str, tuple[Requirement, ...]], list[Object]] = {}
    for node in nodes:
        groups.setdefault(_identity(node["metadata"].get("labels") or {}, resource), []).append(node)
    return tuple(
        NodeClass(name, bool(resource), requirements, len(members), _slots(members, resource, gpus))
        for (name, requirements), members in sorted(groups.items(), key=lambda item: item[0][0])
    )


def _slots(nodes: Sequence[Object], resource: str, gpus: int) -> int:
    return sum(_count(node, resource, "allocatable") // gpus for node in nodes) if resource else len(nodes)


def _count(node: Object, resource: str, *of: str) -> int:
    """How many of a resource a node has, by the largest of these fields of its status."""
    status = node.get("status", {})
    return max(whole_number((status.get(field) or {}).get(resource, 0)) for field in of)


def _identity(labels: Mapping[str, str], resource: str) -> tuple[str, tuple[Requirement, ...]]:
    """The name of a node's class, and what its nodes have in common."""
    gpu, gpu_requirements = _gpu(labels, resource) if resource else ("cpu", ())
    requirements = (*gpu_requirements, *(Requirement.same(key, labels) for key in (ARCH, *CPU_MODEL)))
    return re.sub(r"[^a-z0-9]+", "-", f"{gpu}-{_processor(labels)}".lower()).strip("-"), requirements


def _processor(labels: Mapping[str, str]) -> str:
    """The processor's model such as `intel-6-143` where NFD tells, else its architecture."""
    model = [labels[key] for key in CPU_MODEL if key in labels]
    return "-".join(model) or labels.get(ARCH, "")


def _gpu(labels: Mapping[str, str], resource: str) -> tuple[str, tuple[Requirement, ...]]:
    """The GPU such as `tesla-t4-15g-shared-4`, and the labels that say so.

    A MIG profile that is a resource of its own has labels of its own; a shared resource has those of what is shared.
    """
    kind = resource.removesuffix(".shared")
    product, sharing, replicas = (f"{kind}.{label}" for label in ("product", "sharing-strategy", "replicas"))
    requirements = [Requirement.same(key, labels) for key in (product, sharing, replicas)]
    name = labels.get(product, kind.rpartition("/")[2]).lower().removeprefix("nvidia-").removesuffix("-shared")
    memory = whole_number(labels.get(f"{kind}.memory", 0))
    if memory and not re.search(r"[0-9]gb", name):
        # Drivers count a few MiB more or less of the same memory: what rounds to the same GiB is one class.
        gibibytes = round(memory / 1024)
        name += f"-{gibibytes}g"
        least, most = gibibytes * 1024 - 513, gibibytes * 1024 + 512
        requirements += [Requirement(f"{kind}.memory", "Gt", (str(least),))]
        requirements += [Requirement(f"{kind}.memory", "Lt", (str(most),))]
    if whole_number(labels.get(replicas, 1)) > 1:
        name += f"-{'mps' if labels.get(sharing) == 'mps' else 'shared'}-{labels[replicas]}"
    return name, tuple(requirements)
