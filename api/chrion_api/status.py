"""The status of a ChrionModel: conditions in Kubernetes' convention, never a phase."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from chrion_api.crd import in_crd
from chrion_api.document import Document


class ConditionType(StrEnum):
    """The conditions that a ChrionModel has."""

    READY = "Ready"
    """At least one replica answers requests; stays True while SLOMet is False."""
    RECONCILING = "Reconciling"
    """Work towards the spec is under way (kstatus)."""
    STALLED = "Stalled"
    """No progress without a change by the user (kstatus)."""
    MODEL_RESOLVED = "ModelResolved"
    """The model was fetched and its digest is known."""
    PROFILED = "Profiled"
    """The model was profiled on every node class."""
    PLANNED = "Planned"
    """Every node class has a valid frontier."""
    SERVING = "Serving"
    """All wanted replicas serve the current spec."""
    SLO_MET = "SLOMet"
    """The measured latency is within the objective."""


class Reason(StrEnum):
    """Why a condition has its value; every reason that Chrion ever sets."""

    PENDING = "Pending"
    """Nothing has been tried yet."""
    SUCCEEDED = "Succeeded"
    """Done."""
    INVALID_SPEC = "InvalidSpec"
    """A field of the spec is invalid; the message names it."""
    MODEL_NOT_FOUND = "ModelNotFound"
    """There is no model at its URI."""
    ACCESS_DENIED = "AccessDenied"
    """The model's store rejects the credentials, or requires some."""
    FETCH_REFUSED = "FetchRefused"
    """The model's URI, or a redirect, leads where models may not be fetched from: a private address, or plain http."""
    MODEL_UNREACHABLE = "ModelUnreachable"
    """The model's store does not answer, or answers with an error that may pass."""
    MODEL_TOO_LARGE = "ModelTooLarge"
    """The model takes more bytes, nodes, memory or time than its limits allow."""
    FETCH_FAILED = "FetchFailed"
    """The model could not be fetched for a local reason, such as a full disk."""
    DIGEST_MISMATCH = "DigestMismatch"
    """The digest of the model's file differs from the one in the spec or the plan."""
    INVALID_MODEL = "InvalidModel"
    """The model cannot be loaded or run."""
    PLANNING = "Planning"
    """A planner is running."""
    WAITING_FOR_GPU = "WaitingForGPU"
    """No GPU is free for the planner; the message says who holds it."""
    UNSCHEDULABLE = "Unschedulable"
    """No node has room for a pod; the message is the scheduler's."""
    POD_BLOCKED = "PodBlocked"
    """A container cannot start: its image, a Secret or a volume is missing; the message says which."""
    POD_CRASHES = "PodCrashes"
    """A replica keeps crashing; the message holds its last output."""
    PLANNER_FAILED = "PlannerFailed"
    """The planner failed; the message is its error."""
    PLAN_REFUSED = "PlanRefused"
    """The plan that the planner wrote, or that `planRef` names, cannot be served; the message says why."""
    PLAN_NOT_FOUND = "PlanNotFound"
    """The ConfigMap that spec.planRef names does not exist, or holds no plan."""
    DEVICE_UNAVAILABLE = "DeviceUnavailable"
    """The planner's container lacks a device or the lanes that the spec asks for."""
    SUPERSEDED = "Superseded"
    """The planner's revision is no longer wanted."""
    INTERRUPTED = "Interrupted"
    """The container was told to stop before it was done."""
    PLAN_STALE = "PlanStale"
    """Stages run more than 25 % off their profile, or the plan was made for another device."""
    INFEASIBLE_SLO = "InfeasibleSLO"
    """No plan meets the objective; the nearest one serves."""
    ROLLING_OUT = "RollingOut"
    """Replicas are being replaced."""
    SLO_MISSED = "SLOMissed"
    """The measured latency is above the objective."""
    SCALED_TO_ZERO = "ScaledToZero"
    """spec.runtime.replicas is 0."""
    NOT_OURS = "NotOurs"
    """An object of someone else has the name that the operator needs; the message names it. It is left untouched."""
    LEFT_OVER = "LeftOver"
    """An object that is still being deleted, perhaps of an earlier ChrionModel, has the name the operator needs."""
    REFUSED_BY_SERVER = "RefusedByServer"
    """The API server rejected an object, for example because a quota is used up; the message is its error."""
    PAUSED = "Paused"
    """spec.paused is true."""


class Condition(Document):
    """One condition, as `metav1.Condition` has it."""

    # A newer operator may know more conditions and reasons than the CRD that is installed.
    type: ConditionType = Field(json_schema_extra=in_crd(enum=None))
    """Which condition."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Reason = Field(json_schema_extra=in_crd(enum=None))
    """Why, for programs."""
    message: str = ""
    """Why, for people."""
    last_transition_time: str = Field(json_schema_extra=in_crd(format="date-time"))
    """When `status` last changed, RFC 3339."""
    observed_generation: int | None = None
    """The generation of the spec that this describes."""


class ReplicaStatus(Document):
    """The plan that one replica uses."""

    pod: str
    """The pod's name."""
    plan: str
    """The plan in use."""
    latency_seconds: float | None = Field(default=None, ge=0)
    """The latency it measures at the objective's percentile."""
    slo_met: bool | None = None
    """Whether that is within the objective."""


class ClassStatus(Document):
    """What runs on one node class."""

    node_class: str
    """The node class."""
    predicted_latency_seconds: float | None = None
    """The latency that the planner predicted for the plan in use."""
    measured_latency_seconds: float | None = None
    """The latency that the planner measured for it."""
    gpu_bytes: int | None = None
    """The GPU memory it takes, including the context."""
    replicas: tuple[ReplicaStatus, ...] = Field(default=(), json_schema_extra=in_crd(key="pod"))
    """The plan in use by each replica."""


class ResolvedModel(Document):
    """The model as it was fetched."""

    sha256: str
    """The digest of its file; the runtime loads no other."""


class Status(Document):
    """What is, as far as the operator has seen."""

    observed_generation: int | None = None
    """The generation of the spec that was last reconciled."""
    conditions: tuple[Condition, ...] = Field(default=(), json_schema_extra=in_crd(key="type"))
    """The conditions."""
    classes: tuple[ClassStatus, ...] = Field(default=(), json_schema_extra=in_crd(key="nodeClass"))
    """What runs on each node class."""
    model: ResolvedModel | None = None
    """The model as it was fetched."""
    url: str | None = None
    """Where the model answers inside the cluster."""
    latency: str | None = None
    """The latency of the slowest replica at the objective's percentile, such as 12ms; before there are requests, that
    of its plan. For people."""
    gpu_memory: str | None = None
    """The GPU memory of the replica that takes most, such as 180Mi: for people."""
    runs_on: str | None = None
    """The devices that the plans in use hold, such as `cpu, cuda:0`: for people."""
    replicas: int | None = None
    """Replicas that exist."""
    ready_replicas: int | None = None
    """Replicas that answer requests."""
    selector: str | None = None
    """Label selector of the replicas, for the scale subresource."""
