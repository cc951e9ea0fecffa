"""What the HTTP server needs of a model: nothing of ONNX Runtime, nothing of plans."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class ObservedStage(Protocol):
    """A stage of a plan that is loaded; compared and hashed by identity."""

    @property
    def bucket(self) -> str:
        """The label of the shape bucket that the plan serves."""

    @property
    def plan(self) -> str:
        """The plan's name."""

    @property
    def index(self) -> int:
        """The stage's number in the plan."""

    @property
    def lanes(self) -> tuple[str, ...]:
        """The lanes it holds while it runs."""


StageObserver = Callable[[ObservedStage, float, float], None]
"""Called after each run of a stage, on the thread that ran it, with when it began (as `time.perf_counter` counts) and
the seconds it took."""


@dataclass(frozen=True)
class TensorSpec:
    """Name, element type and shape of a model's input or output; an open axis is None, strings have dtype object."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...] | None
    """None where the model does not even say the rank."""


class Servable(Protocol):
    """A model that can be run; `run` may be called from many threads at once and blocks until it has the answer."""

    @property
    def name(self) -> str:
        """The model's name in the inference API."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What a request must hold."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What an answer holds."""

    @property
    def concurrency(self) -> int:
        """Requests that may be in `run` at once; further ones wait."""

    @property
    def deadline(self) -> float | None:
        """Seconds within which a request should be answered; None where there is no objective."""

    def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None = None,
        observer: StageObserver | None = None,
    ) -> dict[str, Array]:
        """Answer one request; `outputs` picks some of the outputs. The arrays belong to the caller.

        `observer` is called after each stage of this run. Raises chrion_runtime.errors.RunError when the model itself
        fails on these values.
        """

    def describe_plan(self) -> dict[str, Any]:
        """The plan in use and why, as JSON data."""

    def observe(self, observer: StageObserver) -> None:
        """Have `observer` called after each stage."""

    def close(self) -> None:
        """Release threads and sessions; `run` must not be called afterwards."""
