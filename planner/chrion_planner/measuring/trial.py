"""A plan on trial: what came of it in every process in which it was measured."""

from dataclasses import dataclass, field
from math import isfinite

from chrion_api import Candidate, GpuBytes, Plan
from chrion_graph.equality import difference, error
from chrion_planner.measuring.contender import Arrays
from chrion_planner.measuring.contest import Result
from chrion_planner.measuring.statistics import faster, latency, may_turn_out_faster


@dataclass(eq=False)
class Trial:
    """A plan, with its figures as it has them so far."""

    plan: Plan
    """Its latency is that of the first process; the GPU memory that was predicted, where none was measured."""
    max_error: float = 0.0
    """How far the answers of a plan that rounds weights may be off."""
    processes: list[list[list[float]]] = field(default_factory=list)
    """Seconds of each run, round by round, process by process; a process that it had no part in has no rounds.

    The n-th process of two trials ran in turn.
    """
    eliminated: bool = False
    """Whether it was too far behind others to be measured to the end."""
    problem: str = ""
    """Why it is dropped: what it failed with, or how its answers differ; empty where it is not."""

    def add(self, result: Result, expected: Arrays) -> None:
        """Take in what came of one more process."""
        self.eliminated |= result.eliminated
        ran = any(result.rounds)
        self.problem = self.problem or result.error or (self._fault(result.outputs, expected) if ran else "")
        self.processes.append([] if self.problem else result.rounds)
        if self.plan.measured is None and ran and not self.problem:
            measured = latency(result.rounds)
            found: dict[str, object] = {"measured": measured}
            if not self.plan.predicted_seconds:  # nothing was known of it
                found["predicted_seconds"] = measured.p50
            if result.used is not None:
                found["gpu_bytes"] = parted(result.used.bytes, self.plan.gpu_bytes)
                found["gpu_bytes_from"] = result.used.source
            self.plan = self.plan.model_copy(update=found)

    def note_error(self, found: float) -> None:
        """Its answers were off by this; the most of all that was noted is its plan's error."""
        self.plan = self.plan.model_copy(
            update={"error": max(found, self.plan.error or 0.0) if isfinite(found) else None}
        )
        if found > self.max_error:
            self.problem = f"its answers are off by {found:.2g} of their largest value, more than {self.max_error:g}"

    def _fault(self, outputs: Arrays, expected: Arrays) -> str:
        if not self.plan.rounds_weights:
            return difference(outputs, expected)
        if not expected:
            return "it rounds weights, but the model's own answers vary, so its error cannot be measured"
        self.note_error(error(outputs, expected))
        return self.problem

    @property
    def fine(self) -> bool:
        """Whether it was measured, and nothing is wrong with it."""
        return self.plan.measured is not None and not self.problem

    @property
    def in_the_running(self) -> bool:
        """Whether it may still be kept: it is fine, and was never so far behind that it left."""
        return self.fine and not self.eliminated

    @property
    def candidate(self) -> Candidate:
        """What is kept of it, whether or not its plan is."""
        return Candidate(
            name=self.plan.name,
            stages=len(self.plan.stages),
            predicted_seconds=self.plan.predicted_seconds,
            measured=self.plan.measured,
            error=self.plan.error,
            problem=self.problem,
        )

    def beats(self, other: "Trial", by: float) -> bool:
        """Whether it is faster by at least the part `by`, beyond noise."""
        return faster(self.processes, other.processes, by)

    def may_beat(self, other: "Trial", by: float, more: int) -> bool:
        """Whether it may still come to beat another in so many more processes."""
        return may_turn_out_faster(self.processes, other.processes, by, more)


def parted(measured: GpuBytes, predicted: GpuBytes) -> GpuBytes:
    """What was measured, by what takes it.

    A GPU tells a total beside the context. Of that, what was predicted of weights and then of activations is taken to
    be right as far as it goes, and what is left is workspace.
    """
    if measured.weights or measured.activations:
        return measured
    weights = min(predicted.weights, measured.workspace)
    activations = min(predicted.activations, measured.workspace - weights)
    left = measured.workspace - weights - activations
    return GpuBytes(weights=weights, activations=activations, workspace=left, context=measured.context)
