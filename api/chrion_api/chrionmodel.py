"""ChrionModel: a model to serve and the objective to serve it by (`chrion.dev/v1alpha1`)."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from chrion_api.crd import in_crd
from chrion_api.document import Document
from chrion_api.names import NamespaceName, ObjectName, QueueName, ResourceName
from chrion_api.podtemplate import AnyPodTemplate, AnyResources, AnyToleration
from chrion_api.precision import Precision
from chrion_api.slo import SLO, Mode
from chrion_api.status import Status
from chrion_api.units import Duration, Quantity
from chrion_api.uri import ModelUri

GROUP = "chrion.dev"
VERSION = "v1alpha1"
KIND = "ChrionModel"

PLAN_INPUT = "plan input"
"""Marks a spec field that plans depend on: changing it makes the operator plan the model again."""

Shape = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(json_schema_extra=in_crd(maxItems=64))]
"""Sizes of a tensor's axes; empty for a scalar."""


class NamedRef(Document):
    """The name of another object in the same namespace."""

    name: ObjectName
    """The object's name."""


class ModelRef(Document):
    """Where the model's file is."""

    uri: ModelUri
    """Where the ONNX file is: https://HOST/PATH, hf://OWNER/REPO/PATH[@REVISION] on Hugging Face's hub, s3://BUCKET/KEY,
    gs://BUCKET/KEY, pvc://CLAIM/PATH, configmap://NAME/KEY, oci://IMAGE#PATH (Kubernetes 1.31) or file:///PATH, inside
    the image in a cluster."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """The SHA-256 of the file; a mismatch is an error."""
    secret_ref: NamedRef | None = None
    """The Secret in this namespace with the credentials for `uri`, such as AWS_ACCESS_KEY_ID; only the fetcher gets
    them."""


_NOT_BOTH = "give shape or shapes, not both"


class InputSpec(Document):
    """One input of the model: the shapes it is planned for, and what to fill it with while measuring."""

    model_config = {
        **Document.model_config,
        "json_schema_extra": {
            "not": {"required": ["shape", "shapes"], "properties": {"shapes": {"minItems": 1}}},
            **in_crd(("!has(self.shape) || !has(self.shapes) || size(self.shapes) == 0", _NOT_BOTH)),
        },
    }

    name: str = Field(json_schema_extra=in_crd(maxLength=1024))
    """The input's name in the model."""
    shapes: tuple[Shape, ...] = Field(default=(), json_schema_extra=in_crd(maxItems=256))
    """The shapes to plan for; the n-th shapes of all inputs form the n-th bucket."""
    shape: Shape | None = None
    """The shape, if there is only one."""
    value: bool | int | float | None = None
    """The value that fills the input while profiling; by default random floats, and zeros for other types."""

    @field_validator("value", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        if not isinstance(value, bool | int | float | None):
            raise ValueError("must be a number, true or false")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.shape is not None and self.shapes:
            raise ValueError(_NOT_BOTH)
        return self

    @property
    def buckets(self) -> tuple[Shape, ...]:
        """The shapes to plan for, however they were written; empty where none was given."""
        return self.shapes if self.shape is None else (self.shape,)


class StateLink(Document):
    """Recurrent state: an output that is the next request's input, within a sequence of requests."""

    output: str
    """The output that holds the new state."""
    input: str
    """The input that takes it in the next request of the sequence."""


class Devices(Document):
    """The devices that a replica may use."""

    gpu_resource: ResourceName = "nvidia.com/gpu"
    """The extended resource a pod asks for: nvidia.com/gpu, .shared, a MIG resource, or "" for CPU only. If no node
    has the default, CPUs serve; for any other resource the planner waits."""
    cpu_lanes: int = Field(default=0, ge=0)
    """CPU lanes; 0 for as many as the container may use. In a cluster also the CPU request of a container whose
    resources name none."""


class PodOptions(Document):
    """What the planner's and the runtime's pods have in common."""

    resources: AnyResources = {}
    """Container resources, as in a Pod. The CPU limit sets the number of lanes; it defaults to the CPU request, then
    to cpuLanes, then to 1. One GPU is requested if the node class has any."""
    node_selector: dict[str, str] = {}
    """Labels that a node must have."""
    tolerations: tuple[AnyToleration, ...] = ()
    """Tolerations, as in a Pod; pods on GPUs always tolerate the taint named after their resource."""
    pod_template: AnyPodTemplate = {}
    """A pod template merged over the generated one: containers, volumes and variables by name, other lists as
    a whole; null removes a field."""


class PlannerSpec(PodOptions):
    """How planning runs. Resources, node selector and tolerations are the runtime's, with what is given here on top."""

    timeout: Duration = Duration("10m")
    """The time limit for planning; the best plan found by then is kept."""
    queue_name: QueueName = ""
    """The Kueue queue of the planner's Job."""


class RuntimeSpec(PodOptions):
    """How serving runs."""

    replicas: int = Field(default=1, ge=0)
    """Total replicas, over all node classes."""
    max_unavailable: int | None = Field(default=None, ge=1)
    """How many replicas may be down at once while nodes are drained; if set, a PodDisruptionBudget enforces it."""


class RunLimits(Document):
    """Limits on what requests may use in the serving process."""

    run_memory: Quantity | None = None
    """Host memory that all runs of the process may use together, including the weights on the CPU and the states of
    sequences; by default three quarters of what is free when the process starts."""

    @field_validator("run_memory")
    @classmethod
    def _some(cls, memory: Quantity | None) -> Quantity | None:
        if memory is not None and memory.bytes < 1:
            raise ValueError("must be greater than zero")
        return memory


_FEW = "!has({0}.shapes) || size({0}.shapes) < 2"
_AS_MANY = "give each input one shape, or as many as there are buckets"
_AS_MANY_RULE = (
    f"self.all(a, {_FEW.format('a')} || self.all(b, {_FEW.format('b')} || size(a.shapes) == size(b.shapes)))",
    _AS_MANY,
)


class ChrionModelSpec(Document):
    """What to serve, on what, and by which objective."""

    model: Annotated[ModelRef, PLAN_INPUT]
    """The model."""
    inputs: Annotated[tuple[InputSpec, ...], PLAN_INPUT] = Field(
        default=(), json_schema_extra=in_crd(_AS_MANY_RULE, key="name", maxItems=256)
    )
    """One entry for each input with open axes."""
    state: tuple[StateLink, ...] = Field(default=(), json_schema_extra=in_crd(maxItems=256))
    """Recurrent state carried across the requests of a sequence."""
    slo: SLO = SLO()
    """The service-level objective."""
    mode: Mode = Mode.AUTO
    """Auto, Latency or Memory."""
    precision: Annotated[Precision | None, PLAN_INPUT] = None
    """What recurrent layers on the CPU may round their weights to; by default nothing is rounded."""
    paused: bool = False
    """While true, the operator changes nothing."""
    plan_ref: NamedRef | None = None
    """A committed plan to serve without planning, checked against model and device."""
    devices: Annotated[Devices, PLAN_INPUT] = Devices()
    """The devices that a replica may use."""
    limits: RunLimits = RunLimits()
    """Limits on what requests may use in the serving process."""
    planner: PlannerSpec = PlannerSpec()
    """How planning runs."""
    runtime: RuntimeSpec = RuntimeSpec()
    """How serving runs."""

    @field_validator("inputs")
    @classmethod
    def _consistent(cls, inputs: tuple[InputSpec, ...]) -> tuple[InputSpec, ...]:
        names = [entry.name for entry in inputs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f'"{name}" is given {names.count(name)} times')
        counts = {len(entry.buckets) for entry in inputs} - {0, 1}
        if len(counts) > 1:
            raise ValueError(f"{_AS_MANY}; got {sorted(counts)}")
        return inputs

    def plan_inputs(self) -> dict[str, Any]:
        """The fields that plans depend on, as plain JSON data: part of a revision, and of a cached plan's key."""
        marked = {name for name, field in type(self).model_fields.items() if PLAN_INPUT in field.metadata}
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, include=marked)


class Metadata(Document):
    """The part of an object's metadata that Chrion reads; the rest is kept."""

    model_config = {**Document.model_config, "extra": "allow"}

    name: ObjectName
    """The model's name, also in the inference API."""
    namespace: NamespaceName | None = None
    """The namespace it lives in."""


class ChrionModel(Document):
    """A model to serve and the objective to serve it by."""

    api_version: Literal["chrion.dev/v1alpha1"]
    """chrion.dev/v1alpha1"""
    kind: Literal["ChrionModel"]
    """ChrionModel"""
    metadata: Metadata
    """Name and namespace."""
    spec: ChrionModelSpec
    """The desired state."""
    status: Status | None = None
    """The observed state."""
