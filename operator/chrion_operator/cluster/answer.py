"""What a runtime pod says of the plan that it uses: read as what a tenant's pod may send, which is anything."""

import math
from typing import Annotated, ClassVar, TypeVar

from pydantic import ConfigDict, FailFast, Field, ValidationError

from chrion_api import Document, GpuBytes, InvalidDocument, Latency
from chrion_operator.reconcile.observed import PodAnswer

LONGEST_NAME, LONGEST_TEXT, MOST_DEVICES = 253, 1024, 64
"""Characters of a plan's name, and of a sentence; devices of one replica."""

Seconds = Annotated[float, Field(ge=0, le=1e9)]
Bytes = Annotated[int, Field(ge=0, le=1 << 53)]

Element = TypeVar("Element")
Many = Annotated[list[Element], FailFast()]
"""A list that is read up to its first fault: half a million faults would be half a million sentences."""


class Said(Document):
    """A part of an answer: what is named here is of its type, and the rest is not looked at."""

    model_config: ClassVar[ConfigDict] = {**Document.model_config, "extra": "ignore", "strict": True}


class SaidStage(Said):
    """One stage of a plan."""

    lanes: Many[str] = Field(min_length=1)


class SaidLatency(Latency):
    """What the planner measured."""

    model_config = Said.model_config

    p50: Seconds
    p90: Seconds
    p99: Seconds


class SaidGpuBytes(GpuBytes):
    """The GPU memory that it takes."""

    model_config = Said.model_config

    weights: Bytes = 0
    activations: Bytes = 0
    workspace: Bytes = 0
    context: Bytes = 0


class SaidPlan(Said):
    """The plan of one bucket."""

    name: str = Field(max_length=LONGEST_NAME)
    predicted_seconds: Seconds
    measured: SaidLatency | None = None
    gpu_bytes: SaidGpuBytes | None = None
    stages: Many[SaidStage] = []


class SaidBucket(Said):
    """One bucket of shapes."""

    meets_slo: bool = Field(alias="meetsSLO")
    plan: SaidPlan


class SaidObjective(Said):
    """The objective that the pod serves by."""

    percentile: float = Field(default=99, gt=0, lt=100)


class SaidObserved(Said):
    """What the pod measures."""

    seconds: Seconds | None = None
    slo_met: bool | None = None


class SaidStale(Said):
    """Why the plan does not fit."""

    message: str = ""


class SaidAll(Said):
    """The whole answer to `/v2/models/{model}/plan`."""

    slo: SaidObjective
    buckets: Many[SaidBucket]
    observed: SaidObserved | None = None
    stale: SaidStale | None = None


def answer_of(text: bytes) -> PodAnswer:
    """The answer in the JSON that a pod sent.

    Reading it takes memory in proportion to its length, and no stack however deep it is nested. Raises InvalidDocument
    for what is no answer.
    """
    try:
        said = SaidAll.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the answer"
        raise InvalidDocument(f"{where}: {first['msg']}") from None
    plans = [bucket.plan for bucket in said.buckets]
    observed = said.observed or SaidObserved()
    measured = [plan.measured.at(said.slo.percentile) for plan in plans if plan.measured is not None]
    return PodAnswer(
        plan=", ".join(dict.fromkeys(plan.name for plan in plans))[:LONGEST_TEXT],
        meets_slo=all(bucket.meets_slo for bucket in said.buckets),
        slo_met=observed.slo_met,
        latency_seconds=two_digits(observed.seconds),
        stale=said.stale.message[:LONGEST_TEXT] if said.stale is not None else "",
        predicted_seconds=max((plan.predicted_seconds for plan in plans), default=None),
        measured_seconds=max(measured, default=None),
        gpu_bytes=max((plan.gpu_bytes.total if plan.gpu_bytes is not None else 0 for plan in plans), default=None),
        devices=tuple(sorted({_device(stage) for plan in plans for stage in plan.stages})[:MOST_DEVICES]),
    )


def two_digits(seconds: float | None) -> float | None:
    """Rounded to two significant digits, so that noise is no news."""
    if not seconds:
        return seconds
    return round(seconds, 1 - math.floor(math.log10(seconds)))


def _device(stage: SaidStage) -> str:
    return stage.lanes[0].rpartition("/")[0][:LONGEST_NAME]
