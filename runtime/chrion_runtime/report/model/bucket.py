"""A bucket in a report: its plans beside its baselines, how fast, how exact the prediction, how much GPU memory."""

from dataclasses import dataclass
from functools import cached_property
from string import ascii_lowercase

from chrion_api import Baseline, Frontier, GpuBytes, Latency, Plan
from chrion_runtime.report import format as write

CLOSE = 0.15
"""A prediction this far off still counts as close."""

TRUNCATED = "time ran out before every candidate was tried; a better plan may exist."
"""What is said of a truncated plan file."""


@dataclass(frozen=True)
class ComparisonRow:
    """A baseline or a plan in the comparison of one bucket.

    `mark` is what stands for it in pictures: 1, 2, … for plans, a, b, … for baselines.
    `speedup` is the best baseline's median over its own; None where there is no baseline.
    """

    mark: str
    name: str
    seconds: float
    """Its median: measured, else predicted."""
    measured: Latency | None
    gpu: GpuBytes
    speedup: float | None
    plan: Plan | None
    in_use: bool

    @property
    def off(self) -> float | None:
        """How far the measured median is above the predicted one, as a fraction of the predicted."""
        if not self.plan or not self.measured or not self.plan.predicted_seconds:
            return None
        return self.measured.p50 / self.plan.predicted_seconds - 1

    @property
    def median_text(self) -> str:
        """The median; in parentheses where it is predicted."""
        return self._in_parentheses_if_predicted(write.seconds(self.seconds))

    @property
    def speedup_text(self) -> str:
        """The speed-up; in parentheses where it rests on a prediction."""
        return write.NOTHING if self.speedup is None else self._in_parentheses_if_predicted(write.ratio(self.speedup))

    @property
    def off_text(self) -> str:
        """The difference from the prediction."""
        return write.NOTHING if self.off is None else write.change(self.off)

    @property
    def gpu_parts(self) -> dict[str, str]:
        """GPU memory by what takes it, and all of it."""
        return {
            "weights": write.size(self.gpu.weights),
            "activations": write.size(self.gpu.activations),
            "workspace": write.size(self.gpu.workspace),
            "context": write.size(self.gpu.context),
            "total": write.size(self.gpu.total),
        }

    def _in_parentheses_if_predicted(self, text: str) -> str:
        return text if self.measured else f"({text})"


@dataclass(frozen=True)
class BucketReport:
    """A bucket's plans and baselines, one of the plans perhaps `in_use`."""

    frontier: Frontier
    in_use: Plan | None = None

    @cached_property
    def rows(self) -> list[ComparisonRow]:
        """The baselines, then the plans of the frontier."""
        baselines, plans = self.frontier.baselines, self.frontier.plans
        return [
            *(self._row(_letter(index), base, base.measured.p50) for index, base in enumerate(baselines)),
            *(self._row(str(number), plan, plan.seconds, plan) for number, plan in enumerate(plans, 1)),
        ]

    def _row(self, mark: str, one: Baseline | Plan, seconds: float, plan: Plan | None = None) -> ComparisonRow:
        best = self.best_baseline
        speedup = best.measured.p50 / seconds if best and seconds > 0 else None
        in_use = plan is not None and plan == self.in_use
        return ComparisonRow(mark, one.name, seconds, one.measured, one.gpu_bytes, speedup, plan, in_use)

    @property
    def plan_rows(self) -> list[tuple[ComparisonRow, Plan]]:
        """The rows of the plans, each with its plan."""
        return [(row, row.plan) for row in self.rows if row.plan]

    @cached_property
    def best_baseline(self) -> Baseline | None:
        """The baseline with the least measured median."""
        return min(self.frontier.baselines, key=lambda base: base.measured.p50, default=None)

    @cached_property
    def uses_gpu(self) -> bool:
        """Whether anything in the bucket takes GPU memory."""
        return any(row.gpu.total for row in self.rows)

    @property
    def all_measured(self) -> bool:
        """Whether nothing rests on a prediction."""
        return all(row.measured for row in self.rows)

    @property
    def stairs(self) -> list[tuple[float, int]]:
        """(seconds, GPU bytes) of the plans that no other plan beats in both, from the fastest."""
        steps: list[tuple[float, int]] = []
        for seconds, nbytes in sorted((plan.seconds, plan.gpu_bytes.total) for plan in self.frontier.plans):
            if not steps or nbytes < steps[-1][1]:
                steps.append((seconds, nbytes))
        return steps

    @property
    def headline(self) -> str:
        """What the frontier comes to, in a sentence or two."""
        rows = [row for row, _ in self.plan_rows]
        fastest = min(rows, key=lambda row: row.seconds)
        text = f"The fastest plan, {_runs_in(fastest)}"
        base = self.best_baseline
        if base and fastest.speedup is not None:
            own, name = write.seconds(base.measured.p50), write.clip(base.name, 60)
            text += f": {write.ratio(fastest.speedup)} the speed of the best baseline, {name}, at {own}"
        smallest = min(rows, key=lambda row: row.gpu.total)
        if smallest.gpu.total < fastest.gpu.total:
            least, instead = write.size(smallest.gpu.total), write.size(fastest.gpu.total)
            text += f". The smallest, {_runs_in(smallest)} and takes {least} of GPU memory instead of {instead}"
        return text + "."

    @property
    def predictions(self) -> str:
        """How many candidates were measured, and how close their predictions came; empty where there were none."""
        candidates = self.frontier.candidates
        if not candidates:
            return ""
        known = [abs(one.off) for one in candidates if one.off is not None]
        close = sum(off <= CLOSE for off in known)
        dropped = sum(bool(one.problem) for one in candidates)
        measured = f"{write.count(len(known), 'candidate')} measured, {close} of them within {write.share(CLOSE)}"
        return f"{measured} of what was predicted" + (f"; {dropped} dropped" if dropped else "")


def _letter(index: int) -> str:
    return ascii_lowercase[index] if index < 26 else f"z{index - 24}"


def _runs_in(row: ComparisonRow) -> str:
    verb = "runs in" if row.measured else "is predicted to run in"
    return f"{write.clip(row.name, 60)}, {verb} {write.seconds(row.seconds)}"
