"""Pod templates and resources: the parts that Chrion reads are checked, the rest is Kubernetes' to judge."""

from typing import Annotated, Any

from pydantic import AfterValidator

from chrion_api.document import Document
from chrion_api.errors import InvalidField


class Part(Document):
    """A part of a pod; what is not named here may hold anything, and null takes a field away."""

    model_config = {**Document.model_config, "extra": "allow"}


Amounts = dict[str, str | int | float | None]


class ContainerResources(Part):
    """What a container asks for."""

    limits: Amounts | None = None
    requests: Amounts | None = None


class ContainerTemplate(Part):
    """A container, merged by its name."""

    resources: ContainerResources | None = None


class NodeSelectorTerm(Part):
    """One alternative of a node affinity."""

    match_expressions: tuple[dict[str, Any], ...] | None = None


class NodeSelector(Part):
    """The alternatives of a node affinity."""

    node_selector_terms: tuple[NodeSelectorTerm, ...] | None = None


class NodeAffinity(Part):
    """Nodes that a pod needs."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None


class Affinity(Part):
    """What a pod wants to be near to."""

    node_affinity: NodeAffinity | None = None


class PodPart(Part):
    """A pod's spec."""

    node_selector: dict[str, str | None] | None = None
    tolerations: tuple[dict[str, Any], ...] | None = None
    affinity: Affinity | None = None
    containers: tuple[ContainerTemplate, ...] = ()
    init_containers: tuple[ContainerTemplate, ...] = ()


class MetadataPart(Part):
    """A pod's metadata."""

    labels: dict[str, str | None] | None = None
    annotations: dict[str, str | None] | None = None


class PodTemplate(Part):
    """A pod template that is merged over another."""

    metadata: MetadataPart = MetadataPart()
    spec: PodPart = PodPart()


def _checked(kind: type[Part], value: dict[str, Any]) -> dict[str, Any]:
    try:
        kind.parse(value)
    except InvalidField as error:
        raise ValueError(str(error)) from None
    return value


AnyResources = Annotated[dict[str, Any], AfterValidator(lambda value: _checked(ContainerResources, value))]
"""Container resources as they were written, checked as far as Chrion reads them."""

AnyPodTemplate = Annotated[dict[str, Any], AfterValidator(lambda value: _checked(PodTemplate, value))]
"""A pod template as it was written, checked as far as Chrion reads it."""
