"""Pod templates and resources: the parts that Chrion reads are checked, the rest is Kubernetes' to judge."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from chrion_api.bounds import strange
from chrion_api.document import Document

DEEPEST = 32
"""Levels of objects and lists in one another; a pod's affinity, the deepest part of a pod, has 12."""
MOST = 10_000
"""Values of one pod template."""
LARGEST = 2**63 - 1


class PodFragment(Document):
    """A part of a pod; what is not named here may hold anything, and null takes a field away."""

    model_config = {**Document.model_config, "extra": "allow"}


Amounts = dict[str, str | int | float | None]


class ContainerResources(PodFragment):
    """What a container asks for."""

    limits: Amounts | None = None
    requests: Amounts | None = None


class Named(PodFragment):
    """A thing that is merged by its name."""

    name: str


class VolumeMount(PodFragment):
    """A volume in a container, merged by its path."""

    mount_path: str


class VolumeDevice(PodFragment):
    """A block device in a container, merged by its path."""

    device_path: str


class ContainerPort(PodFragment):
    """A port of a container, merged by its number."""

    container_port: int


class ContainerTemplate(Named):
    """A container."""

    image: str | None = None
    env: tuple[Named, ...] | None = None
    ports: tuple[ContainerPort, ...] | None = None
    volume_mounts: tuple[VolumeMount, ...] | None = None
    volume_devices: tuple[VolumeDevice, ...] | None = None
    resources: ContainerResources | None = None


class NodeSelectorTerm(PodFragment):
    """One alternative of a node affinity."""

    match_expressions: tuple[dict[str, Any], ...] | None = None


class NodeSelector(PodFragment):
    """The alternatives of a node affinity."""

    node_selector_terms: tuple[NodeSelectorTerm, ...] | None = None


class NodeAffinity(PodFragment):
    """Nodes that a pod needs."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None


class Affinity(PodFragment):
    """What a pod wants to be near to."""

    node_affinity: NodeAffinity | None = None


class HostAlias(PodFragment):
    """A line of /etc/hosts, merged by its address."""

    ip: str


class TopologySpreadConstraint(PodFragment):
    """How replicas spread, merged by the topology's key."""

    topology_key: str


class PodSpec(PodFragment):
    """A pod's spec."""

    node_selector: dict[str, str | None] | None = None
    tolerations: tuple[dict[str, Any], ...] | None = None
    affinity: Affinity | None = None
    containers: tuple[ContainerTemplate, ...] = ()
    init_containers: tuple[ContainerTemplate, ...] = ()
    volumes: tuple[Named, ...] | None = None
    image_pull_secrets: tuple[Named, ...] | None = None
    host_aliases: tuple[HostAlias, ...] | None = None
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] | None = None


class PodMetadata(PodFragment):
    """A pod's metadata."""

    labels: dict[str, str | None] | None = None
    annotations: dict[str, str | None] | None = None


class PodTemplate(PodFragment):
    """A pod template that is merged over another."""

    metadata: PodMetadata = PodMetadata()
    spec: PodSpec = PodSpec()


def plain(value: Any) -> Any:
    """The value itself, if it is JSON that every reader takes.

    Raises ValueError, with the path, for what is nested deeper than DEEPEST or holds more than MOST values, for numbers
    beyond 64 bits, infinite or none, and for text that is no Unicode.
    """
    pending: list[tuple[str, int, Any]] = [("", 0, value)]
    seen = 0
    while pending:
        path, depth, one = pending.pop()
        if isinstance(one, dict | list | tuple):
            seen += len(one)
            if depth == DEEPEST:
                raise ValueError(f"nested more than {DEEPEST} levels deep, at {path[:200].lstrip('.')}")
            if seen > MOST:
                raise ValueError(f"holds more than {MOST:,} values")
            inner = one.items() if isinstance(one, dict) else enumerate(one)
            pending += [(f"{path}.{name}", depth + 1, part) for name, part in inner]
        elif isinstance(one, int) and abs(one) > LARGEST:
            raise ValueError(f"{path.lstrip('.')}: does not fit in 64 bits")
    if fault := strange(value):
        raise ValueError(": ".join(filter(None, fault)))
    return value


@dataclass(frozen=True)
class _AsWritten:
    """Checks a value as a PodFragment, and keeps it as it was written."""

    kind: type[PodFragment]

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def check(value: Any, inner: core_schema.ValidatorFunctionWrapHandler) -> Any:
            inner(plain(value))
            return value

        return core_schema.no_info_wrap_validator_function(
            check,
            handler.generate_schema(self.kind),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value),
        )

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema()))


AnyResources = Annotated[dict[str, Any], _AsWritten(ContainerResources)]
"""Container resources as they were written, checked as far as Chrion reads them."""

AnyPodTemplate = Annotated[dict[str, Any], _AsWritten(PodTemplate)]
"""A pod template as it was written, checked as far as Chrion reads it."""

AnyToleration = Annotated[dict[str, Any], BeforeValidator(plain)]
"""A toleration as it was written."""
