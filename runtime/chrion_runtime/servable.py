"""What the server needs of a model, over HTTP or gRPC: nothing of ONNX Runtime, nothing of plans."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from chrion_runtime.stop import Stop

Array = NDArray[Any]

SequenceKey = int | str | tuple[str, int | str]
"""A sequence's id, in its scope where it has one."""


@dataclass(frozen=True, eq=False)
class StageLabel:
    """Which stage of a loaded plan it is; compared and hashed by identity, for it is looked up at each run."""

    bucket: str
    """The label of the shape bucket that the plan serves."""
    plan: str
    """The plan's name."""
    index: int
    """The stage's number in the plan."""
    lanes: tuple[str, ...]
    """The lanes it holds while it runs."""


StageObserver = Callable[[StageLabel, float, float], None]
"""Called after each run of a stage, on the thread that ran it, with when it began (as `time.perf_counter` counts) and
the seconds it took."""


@dataclass(frozen=True)
class TensorSpec:
    """Name, element type and shape of a model's input or output; an open axis is None, strings have dtype object."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...] | None
    """None where the model does not even say the rank."""
    optional: bool = False
    """Whether it is an input that requests may leave out."""

    @property
    def open_as_minus_one(self) -> list[int]:
        """The shape with -1 for open axes; [-1] too where even the rank is open."""
        return [-1] if self.shape is None else [-1 if size is None else size for size in self.shape]

    def misfit(self, shape: tuple[int, ...]) -> str:
        """Why a tensor of this shape cannot stand here, in words; empty where it can."""
        wanted = self.shape
        # ONNX Runtime takes one value in any shape for a scalar, and clients send numbers as [1].
        if wanted is None or shape == wanted or (not wanted and set(shape) <= {1}):
            return ""
        takes = self.open_as_minus_one
        if len(wanted) != len(shape):
            return f"shape {list(shape)} has {len(shape)} dimensions, but the model takes {len(wanted)}: {takes}"
        for axis, (size, fixed) in enumerate(zip(shape, wanted, strict=True)):
            if fixed is not None and size != fixed:
                return f"dimension {axis} of shape {list(shape)} is {size}, but the model takes {takes}"
        return ""


@dataclass(frozen=True)
class SequenceStep:
    """A request's place in a sequence of requests that share recurrent state."""

    id: int | str
    """What the client calls the sequence; 1 and "1" are two."""
    start: bool = False
    """Whether it begins, or begins again."""
    end: bool = False
    """Whether nothing follows."""
    scope: str = ""
    """What the id belongs to, such as a stream: of two scopes the same id is two sequences."""

    @property
    def key(self) -> SequenceKey:
        """What the sequence is kept by."""
        return (self.scope, self.id) if self.scope else self.id


@dataclass(frozen=True)
class Figure:
    """A number that a model keeps of itself, for the metrics; the label `model` is added there."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    labels: Mapping[str, str]
    value: float


class Servable(Protocol):
    """A model that can be run; `run` may be called from many threads at once and blocks until it has the answer."""

    @property
    def name(self) -> str:
        """The model's name in the inference API."""

    @property
    def ready(self) -> bool:
        """Whether it can be run now."""

    @property
    def hop_seconds(self) -> float:
        """What it takes to hand a request over to where it runs, beside the run; 0 in this process."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What a request must hold."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What an answer holds."""

    @property
    def state(self) -> Mapping[str, str]:
        """The input that each output feeds within a sequence; empty for a model without state."""

    @property
    def deciding(self) -> frozenset[str]:
        """Inputs whose values, not only their shapes, decide how much work or memory a run takes."""

    @property
    def concurrency(self) -> int:
        """Requests that may be in `run` at once; further ones wait."""

    def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None = None,
        sequence: SequenceStep | None = None,
        observer: StageObserver | None = None,
        stop: Stop | None = None,
    ) -> dict[str, Array]:
        """Answer one request; `outputs` picks some of the outputs. The arrays belong to the caller.

        In a sequence the inputs that take state are left out, and state is answered only where `outputs` names it.
        `sequence` is given only to models with `state`. `observer` is called after each stage of this run. Raises
        chrion_runtime.errors.RunError when the model itself fails on these values, UnfitValues where that is their
        fault, RunStopped where `stop` ended it, and SequenceLost where it has no state of the sequence.
        """

    def describe_plan(self) -> dict[str, Any]:
        """The plan in use and why, as JSON data."""

    @property
    def deadline(self) -> float | None:
        """Seconds within which an answer is of use, as the objective says; None where it does not."""

    def forget(self, scope: str) -> None:
        """Give up the state of all sequences of a scope, each as soon as none of its requests runs."""

    def answered(self, seconds: float) -> None:
        """Told of each answered request, with the seconds from the request read to the answer written; and of one that
        was turned away because it would have waited too long, with infinity."""

    def figures(self) -> Sequence[Figure]:
        """Numbers for the metrics, as they are now."""

    def observe(self, observer: StageObserver) -> None:
        """Have `observer` called after each stage."""

    def close(self) -> None:
        """Release threads and sessions; `run` must not be called afterwards."""
