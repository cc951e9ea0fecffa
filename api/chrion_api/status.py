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
    """Nothing was tried yet."""
    SUCCEEDED = "Succeeded"
    """It is done."""
    INVALID_SPEC = "InvalidSpec"
    """A field of the spec cannot be used; the message names it."""
    MODEL_NOT_FOUND = "ModelNotFound"
    """The model's URI leads nowhere."""
    ACCESS_DENIED = "AccessDenied"
    """The model's store refuses these credentials, or asks for some."""
    FETCH_REFUSED = "FetchRefused"
    """The model's URI, or a redirect, leads where models are not fetched from: a private address, or plain http."""
    MODEL_UNREACHABLE = "ModelUnreachable"
    """The model's store does not answer, or not as it should, for now."""
    MODEL_TOO_LARGE = "ModelTooLarge"
    """The model takes more bytes, nodes, memory or time than its limits allow."""
    FETCH_FAILED = "FetchFailed"
    """The model could not be fetched, through no fault of its own, such as a full disk."""
    DIGEST_MISMATCH = "DigestMismatch"
    """The model's file has another digest than the spec or the plan says."""
    INVALID_MODEL = "InvalidModel"
    """The model cannot be loaded or run."""
    PLANNING = "Planning"
    """A planner is at work."""
    WAITING_FOR_GPU = "WaitingForGPU"
    """No GPU is free for the planner; the message says who holds it."""
    UNSCHEDULABLE = "Unschedulable"
    """No node has room for a pod; the message is the scheduler's."""
    POD_BLOCKED = "PodBlocked"
    """A container cannot start: its image, a Secret or a volume is not there; the message says which."""
    POD_CRASHES = "PodCrashes"
    """A replica ends again and again; the message holds its last words."""
    PLANNER_FAILED = "PlannerFailed"
    """The planner ended with an error; the message holds its sentence."""
    PLAN_REFUSED = "PlanRefused"
    """The plan that was handed in, or that `planRef` names, cannot be served; the message says why."""
    PLAN_NOT_FOUND = "PlanNotFound"
    """There is no ConfigMap of the name that spec.planRef gives, or none with a plan in it."""
    DEVICE_UNAVAILABLE = "DeviceUnavailable"
    """The planner's container lacks a device or the lanes that the spec asks for."""
    SUPERSEDED = "Superseded"
    """The planner's revision is wanted no more."""
    INTERRUPTED = "Interrupted"
    """The container was told to end before it was done."""
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
    """Somebody else's object has the name of one that is to be made; the message names it. It is left as it is."""
    LEFT_OVER = "LeftOver"
    """An object that is still being deleted, perhaps of an earlier ChrionModel, has the name of one that is to be made.
    """
    REFUSED_BY_SERVER = "RefusedByServer"
    """The API server refused an object, such as for want of quota; the message is its sentence."""
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
    """The generation of the spec this was said of."""


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
    """The latency the planner predicted for the plan in use."""
    measured_latency_seconds: float | None = None
    """The latency the planner measured for it."""
    gpu_bytes: int | None = None
    """The GPU memory it takes, context included."""
    replicas: tuple[ReplicaStatus, ...] = Field(default=(), json_schema_extra=in_crd(key="pod"))
    """The plan in use by each replica."""


class ResolvedModel(Document):
    """The model as it was fetched."""

    sha256: str
    """The digest of its file; the only one the runtime loads."""


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
    """The latency at the objective's percentile, of the slowest replica, such as 12ms; that of its plan before there
    were requests. For people."""
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
