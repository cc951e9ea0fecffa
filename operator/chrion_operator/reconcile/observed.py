"""The words of a decision: what was observed of a ChrionModel, and what is to be written for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from chrion_api import Reason
from chrion_operator.names import COMPONENT_LABEL, Component, Object
from chrion_operator.nodes import NodeClass
from chrion_operator.reconcile.summary import PlanSummary


class Key(NamedTuple):
    """A ChrionModel by its namespace and the label that its objects bear."""

    namespace: str
    label: str


@dataclass(frozen=True, slots=True)
class SeenObject:
    """An object as a watch or an answer of the API server told it, without what nobody here reads."""

    object: Object
    plan: PlanSummary | None = None
    """What the plan in it says, where it is a ConfigMap that holds one; its data is dropped."""
    settled: str | None = None
    """The digest of the manifest that the server made this object of; None where it was changed since."""


@dataclass(frozen=True, slots=True)
class PodAnswer:
    """What a runtime pod says of the plan that it uses."""

    plan: str
    """The name of the plan in use."""
    meets_slo: bool
    """Whether that plan is expected to meet the objective."""
    slo_met: bool | None = None
    """Whether the objective is met, as observed; None before there was anything to observe."""
    latency_seconds: float | None = None
    """The latency observed at the objective's percentile, rounded to two digits."""
    stale: str = ""
    """Why the plan does not fit what is observed; empty where it does."""
    predicted_seconds: float | None = None
    """The latency that was predicted for the plan."""
    measured_seconds: float | None = None
    """The latency that was measured for it when it was planned."""
    gpu_bytes: int | None = None
    """The GPU memory that it takes."""
    devices: tuple[str, ...] = ()
    """The devices that it runs on."""


@dataclass(frozen=True, slots=True)
class WriteRefusal:
    """Why an object that was to be written was not."""

    subject: str
    """Such as Deployment nsnet2-cpu."""
    reason: Reason
    """Why, for the condition."""
    message: str
    """Why, for people."""


@dataclass(frozen=True)
class Observed:
    """All that is known of one ChrionModel."""

    objects: Mapping[tuple[str, str], SeenObject] = field(default_factory=dict)
    """Its own objects, by kind and name."""
    nodes: tuple[Object, ...] | None = ()
    """The cluster's nodes; None where they may not be read."""
    answers: Mapping[str, PodAnswer] = field(default_factory=dict)
    """What its pods said, by their names."""
    reference: PlanSummary | None = None
    """What is in the ConfigMap that spec.planRef names; None where it is not there or holds no plan."""
    holders: tuple[str, ...] = ()
    """The pods that hold the GPUs which its planner waits for, where it does."""
    refusals: tuple[WriteRefusal, ...] = ()
    """What could not be written the last time."""

    def get(self, kind: str, name: str) -> SeenObject | None:
        """One object."""
        return self.objects.get((kind, name))

    def of_kind(self, kind: str, component: Component | None = None) -> Iterator[SeenObject]:
        """All objects of a kind, of one component or of all, by name."""
        for (other, _), seen in sorted(self.objects.items(), key=lambda item: item[0]):
            labels = seen.object["metadata"].get("labels", {})
            if other == kind and component in (None, labels.get(COMPONENT_LABEL)):
                yield seen


@dataclass(frozen=True, slots=True)
class Copy:
    """Validate the plan in the ConfigMap `source` and copy it into the frontier of a class and revision."""

    source: str
    """Its name: that of the model's own, or with `reference` that which spec.planRef gives."""
    cls: NodeClass
    revision: str
    reference: bool = False


@dataclass(frozen=True, slots=True)
class Patch:
    """A JSON merge patch of an object that others write to as well, if it still is the one that was seen."""

    kind: str
    name: str
    uid: str
    body: Object


@dataclass(frozen=True, slots=True)
class Delete:
    """An object to delete, if it still is the one that was seen."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class ModelEvent:
    """What a person would want to know, for `kubectl describe`."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class Decision:
    """What to write, in this order; nothing where all is as it should be."""

    events: tuple[ModelEvent, ...] = ()
    share: tuple[Object, ...] = ()
    """What several models own, and what is to be there with this one among them."""
    apply: tuple[Object, ...] = ()
    copy: tuple[Copy, ...] = ()
    patch: tuple[Patch, ...] = ()
    delete: tuple[Delete, ...] = ()
    status: Object | None = None
    """The whole status, where it differs from what is there."""
    again_after: float | None = None
    """Seconds after which to look again although nothing happens."""

    @property
    def writes(self) -> bool:
        """Whether anything beside the status is to be written."""
        return bool(self.share or self.apply or self.copy or self.patch or self.delete)
