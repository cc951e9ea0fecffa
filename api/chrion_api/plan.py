"""Plan: which nodes run where. A plan file holds, for each shape bucket, the frontier of plans."""

import re
from collections.abc import Mapping
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, FailFast, Field, PlainSerializer, ValidationInfo, WithJsonSchema, model_validator

from chrion_api.chrionmodel import Shape
from chrion_api.document import Document
from chrion_api.engine_options import ONNXRUNTIME, BoundedOptions, DocumentVersion, options_of_version_1
from chrion_api.precision import rounds_weights
from chrion_api.profile import DeviceKey

HOST = "cpu"
"""The device where requests arrive and answers leave, and the name of its memory."""

MAX_NODES = 10_000_000
"""What every node's index is below."""
MAX_FILE_NODES = 2_000_000
"""Nodes of all stages of a file together: 20 plans for the largest model."""


_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?(?:,(?!\Z)|\Z)")


def _read_ranges(value: Any, info: ValidationInfo) -> Any:
    """Ranges as their nodes, which are counted over the whole file before they are listed."""
    if not isinstance(value, str):
        return value
    counted: dict[str, int] = {} if info.context is None else info.context
    nodes: list[int] = []
    at = 0
    while at < len(value):
        match = _RANGE.match(value, at)
        if not match:
            raise ValueError(f'"{value[:60]}" is not a list of node ranges such as 0-15,17')
        first, last, at = int(match[1]), int(match[2] or match[1]), match.end()
        if not (nodes[-1] if nodes else -1) < first <= last < MAX_NODES:
            raise ValueError(f'"{value[:60]}": node ranges must ascend, not overlap and end below {MAX_NODES:,}')
        counted["nodes"] = counted.get("nodes", 0) + last + 1 - first
        if counted["nodes"] > MAX_FILE_NODES:
            raise ValueError(f'"{value[:60]}": the stages of all plans hold more than {MAX_FILE_NODES:,} nodes')
        nodes.extend(range(first, last + 1))
    return nodes


def _write_ranges(nodes: tuple[int, ...]) -> str:
    parts: list[list[int]] = []
    for node in sorted(nodes):
        if parts and parts[-1][1] == node - 1:
            parts[-1][1] = node
        else:
            parts.append([node, node])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


NodeRanges = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...],
    FailFast(),
    BeforeValidator(_read_ranges),
    PlainSerializer(_write_ranges, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?$"}),
]
"""Node indices, written as ranges ("0-15,17") so that a plan of 10,000 nodes stays small."""


class Rewrite(Document):
    """One exact transformation of the graph, replayed before the stages are cut."""

    name: str
    """The rewrite's name in the registry."""
    parameters: dict[str, Any] = {}
    """Its parameters."""


class Stage(Document):
    """Nodes that run as one kernel of an engine, on one lane or on several at once."""

    nodes: NodeRanges
    """Indices of its nodes in the rewritten graph."""
    lanes: tuple[str, ...] = Field(min_length=1, fail_fast=True)
    """The lanes it holds, such as cpu/0; several of one device are its threads."""
    engine: str = Field(default=ONNXRUNTIME, min_length=1, max_length=40)
    """What runs it."""
    options: BoundedOptions = {}
    """Options for the engine; docs/plan.md lists them."""
    operators: dict[str, int] = {}
    """Its nodes counted by operator, for people."""
    start_seconds: float = Field(default=0, ge=0)
    """When it starts in the predicted schedule."""
    finish_seconds: float = Field(default=0, ge=0)
    """When it ends in the predicted schedule."""
    arena_bytes: int = Field(default=0, ge=0)
    """The most its kernel is predicted to ask its arena for, on a GPU; 0 if unknown."""

    _read_version_1 = model_validator(mode="before")(options_of_version_1)

    def with_options(self, **changes: bool | int | float | str) -> Self:
        """The stage with some options changed; an empty text and False leave one out."""
        options = {name: value for name, value in self.options.items() if name not in changes}
        options |= {name: value for name, value in changes.items() if value is not False and value != ""}
        return self.model_copy(update={"options": options})

    @property
    def device(self) -> str:
        """The device it runs on."""
        return self.lanes[0].rpartition("/")[0]


class Latency(Document):
    """Measured latency of one run, in seconds."""

    p50: float = Field(gt=0)
    """Median."""
    p90: float = Field(gt=0)
    """90th percentile."""
    p99: float = Field(gt=0)
    """99th percentile."""
    repetitions: int = Field(ge=1)
    """The number of measured runs."""

    def at(self, percentile: float) -> float:
        """The latency at a percentile, interpolated between the measured ones."""
        points = ((50.0, self.p50), (90.0, self.p90), (99.0, self.p99))
        if percentile <= 50:
            return self.p50
        for (low, below), (high, above) in pairwise(points):
            if percentile <= high:
                return below + (above - below) * (percentile - low) / (high - low)
        return self.p99


class GpuBytes(Document):
    """GPU memory by what takes it, in bytes."""

    weights: int = Field(default=0, ge=0)
    """Weights, including the second copy that a GPU keeps of recurrent ones."""
    activations: int = Field(default=0, ge=0)
    """Values alive at once."""
    workspace: int = Field(default=0, ge=0)
    """Scratch memory of kernels."""
    context: int = Field(default=0, ge=0)
    """What the process takes before it loads anything."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.activations + self.workspace + self.context


class GpuBytesFrom(StrEnum):
    """How GPU memory is known."""

    PREDICTED = "Predicted"
    """From the model and the profile; nothing was measured."""
    PROCESS = "Process"
    """Measured, by what the driver reports for the process."""
    DEVICE = "Device"
    """Measured, as the difference in use of the whole GPU: containers hide which process takes what."""


class Plan(Document):
    """One way to run a model: rewrites, then stages on lanes."""

    name: str = Field(min_length=1)
    """Its name within the frontier, such as heft or cpu-all."""
    rewrites: tuple[Rewrite, ...] = Field(default=(), fail_fast=True)
    """Transformations to replay, in this order."""
    graph: str
    """SHA-256 of the rewritten graph; the runtime rejects any other."""
    stages: tuple[Stage, ...] = Field(min_length=1, fail_fast=True)
    """The stages in the order of their predicted start."""
    predicted_seconds: float = Field(ge=0)
    """Predicted makespan."""
    bound_seconds: float | None = Field(default=None, ge=0)
    """A bound, by the profile, that no plan for the same rewritten graph can beat; null if not computed."""
    measured: Latency | None = None
    """Measured latency; null for a plan that was never run."""
    gpu_bytes: GpuBytes = GpuBytes()
    """GPU memory it takes."""
    gpu_bytes_from: GpuBytesFrom = GpuBytesFrom.PREDICTED
    """Where that figure comes from."""
    host_bytes: int = Field(default=0, ge=0)
    """Bytes of weights that its stages keep on the host, once for each engine; 0 if not computed."""
    outside_bytes: int = Field(default=0, ge=0)
    """GPU memory predicted outside the stages' arenas, besides the context."""
    error: float | None = Field(default=None, ge=0)
    """How far off the answers of a plan that rounds weights were, as `Precision.max_error` counts it; null if it
    rounds none or was never run."""

    @property
    def seconds(self) -> float:
        """The best knowledge of its median latency: measured, else predicted."""
        return self.measured.p50 if self.measured else self.predicted_seconds

    @property
    def rounds_weights(self) -> bool:
        """Whether some stage keeps weights in less precision than they have."""
        return any(rounds_weights(stage.options) for stage in self.stages)

    @property
    def gap(self) -> float | None:
        """The part of the predicted makespan that lies above the bound, from 0 to 1; None without a bound."""
        if self.bound_seconds is None or not self.predicted_seconds:
            return None
        return max(0.0, 1 - self.bound_seconds / self.predicted_seconds)

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices it uses, sorted."""
        return tuple(sorted({stage.device for stage in self.stages}))


class Baseline(Document):
    """A way to run the model without Chrion, measured for comparison."""

    name: str
    """What it is, such as ONNX Runtime's default session."""
    measured: Latency
    """Its latency."""
    gpu_bytes: GpuBytes = GpuBytes()
    """GPU memory it takes."""


class Candidate(Document):
    """A plan that was measured, whether or not it is on the frontier."""

    name: str
    """Its name."""
    stages: int = Field(ge=1)
    """How many stages it has."""
    predicted_seconds: float = Field(ge=0)
    """The makespan predicted before it was measured."""
    measured: Latency | None = None
    """Measured latency; null if it could not be measured."""
    error: float | None = Field(default=None, ge=0)
    """As `Plan.error`."""
    problem: str = ""
    """Why it was dropped: its error, or how its answers differ; empty if it was kept."""

    @property
    def off(self) -> float | None:
        """How far the measured median is above the predicted one, as a fraction of the predicted."""
        return self.measured.p50 / self.predicted_seconds - 1 if self.measured and self.predicted_seconds else None


def bucket_label(shapes: Mapping[str, Shape]) -> str:
    """The shapes of a bucket in short: `input=1x50x161`; several inputs stand side by side with commas."""
    return ",".join(f"{name}={'x'.join(map(str, shape)) or 'scalar'}" for name, shape in shapes.items())


class Frontier(Document):
    """The Pareto-optimal plans of one shape bucket, from the fastest to the smallest."""

    inputs: dict[str, Shape]
    """The shapes this holds for, by input."""
    plans: tuple[Plan, ...] = Field(min_length=1, fail_fast=True)
    """From the fastest to the one with the least GPU memory."""
    baselines: tuple[Baseline, ...] = Field(default=(), fail_fast=True)
    """What was measured for comparison."""
    candidates: tuple[Candidate, ...] = Field(default=(), fail_fast=True)
    """Every plan that was measured, ordered by predicted latency."""

    @property
    def label(self) -> str:
        """The bucket in short."""
        return bucket_label(self.inputs)


class PlanFile(Document):
    """Everything the runtime needs to serve a model under any objective."""

    omit_none: ClassVar[bool] = False

    version: DocumentVersion = 2
    """The version of this format."""
    model: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the model's file."""
    devices: dict[str, DeviceKey]
    """The devices it was planned for, by name."""
    buckets: tuple[Frontier, ...] = Field(min_length=1, fail_fast=True)
    """One frontier for each shape bucket."""
    truncated: bool = False
    """True when time ran out before every candidate was tried."""
    fallback: str = Field(default="", max_length=2000)
    """Why only the model as it is, in one session, was planned; empty where plans were searched for."""

    def engines_on(self, device: str) -> list[str]:
        """The engines by which its plans use a device."""
        stages = (stage for bucket in self.buckets for plan in bucket.plans for stage in plan.stages)
        return sorted({stage.engine for stage in stages if stage.device == device})
