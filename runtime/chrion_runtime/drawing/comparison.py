"""The plans of a bucket beside its baselines: how fast, how exact the prediction, how much GPU memory."""

from dataclasses import dataclass
from string import ascii_lowercase

from chrion_api import Baseline, Frontier, GpuBytes, Latency, Plan
from chrion_runtime.drawing import format as write


@dataclass(frozen=True)
class Entry:
    """A baseline or a plan in the comparison of one bucket.

    `mark` is what stands for it in pictures: 1, 2, … for plans, a, b, … for baselines.
    `speedup` is the best baseline's median over its own; None where there is no baseline.
    """

    mark: str
    name: str
    gpu: GpuBytes
    measured: Latency | None
    predicted: float | None
    speedup: float | None
    plan: Plan | None

    @property
    def seconds(self) -> float:
        """Its median: measured, else predicted."""
        return self.measured.p50 if self.measured else self.predicted or 0.0

    @property
    def off(self) -> float | None:
        """How far the measured median is above the predicted one, as a fraction of the predicted."""
        if not self.measured or not self.predicted:
            return None
        return self.measured.p50 / self.predicted - 1

    @property
    def speedup_text(self) -> str:
        """The speed-up; in parentheses where it rests on a prediction."""
        if self.speedup is None:
            return write.NOTHING
        return write.ratio(self.speedup) if self.measured else f"({write.ratio(self.speedup)})"


def comparison(frontier: Frontier) -> list[Entry]:
    """The baselines of a bucket, then the plans of its frontier."""
    best = best_baseline(frontier)

    def speedup(own: float) -> float | None:
        return best.measured.p50 / own if best and own > 0 else None

    entries = [
        Entry(mark, base.name, base.gpu_bytes, base.measured, None, speedup(base.measured.p50), None)
        for mark, base in zip(_letters(len(frontier.baselines)), frontier.baselines, strict=True)
    ]
    entries += [
        Entry(
            str(number), plan.name, plan.gpu_bytes, plan.measured, plan.predicted_seconds, speedup(plan.seconds), plan
        )
        for number, plan in enumerate(frontier.plans, 1)
    ]
    return entries


def _letters(number: int) -> list[str]:
    return [ascii_lowercase[index] if index < 26 else f"z{index - 24}" for index in range(number)]


def best_baseline(frontier: Frontier) -> Baseline | None:
    """The baseline with the least measured median."""
    return min(frontier.baselines, key=lambda base: base.measured.p50, default=None)


def headline(frontier: Frontier) -> str:
    """What the frontier comes to, in a sentence or two."""
    entries = [entry for entry in comparison(frontier) if entry.plan]
    fastest = min(entries, key=lambda entry: entry.seconds)
    verb = "runs in" if fastest.measured else "is predicted to run in"
    text = f"The fastest plan, {write.clip(fastest.name, 60)}, {verb} {write.seconds(fastest.seconds)}"
    base = best_baseline(frontier)
    if base and fastest.speedup is not None:
        own = write.seconds(base.measured.p50)
        text += (
            f": {write.ratio(fastest.speedup)} the speed of the best baseline, {write.clip(base.name, 60)}, at {own}"
        )
    smallest = min(entries, key=lambda entry: entry.gpu.total)
    if smallest.gpu.total < fastest.gpu.total:
        verb = "runs in" if smallest.measured else "is predicted to run in"
        text += (
            f". The smallest, {write.clip(smallest.name, 60)}, {verb} {write.seconds(smallest.seconds)}"
            f" and takes {write.size(smallest.gpu.total)} of GPU memory instead of {write.size(fastest.gpu.total)}"
        )
    return text + "."


def uses_gpu(frontier: Frontier) -> bool:
    """Whether anything in the bucket takes GPU memory."""
    return any(entry.gpu.total for entry in comparison(frontier))


def stairs(frontier: Frontier) -> list[tuple[float, int]]:
    """(seconds, GPU bytes) of the plans that no other plan beats in both, from the fastest."""
    steps: list[tuple[float, int]] = []
    for seconds, nbytes in sorted((plan.seconds, plan.gpu_bytes.total) for plan in frontier.plans):
        if not steps or nbytes < steps[-1][1]:
            steps.append((seconds, nbytes))
    return steps
