"""What the figures on a GPU say of the aims: pure functions of the results."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import geometric_mean
from typing import Any

from chrion_bench.aims import Aim
from chrion_bench.gpu.sessions import BOUND, ORIGINAL, PLACED
from chrion_bench.memory import beats
from chrion_bench.placement import Point
from chrion_bench.tables import NONE

Data = Mapping[str, Any]
"""One model's result, as `model.measure` gives it."""

REWRITTEN_GPU, REWRITTEN_CPU = "rewritten-gpu", "rewritten-cpu"
LATENCY, MEMORY = "chrion-latency", "chrion-memory"
"""Of Chrion's plans: the fastest, and, with a number behind it, the smaller ones along the frontier."""

BEST, MEAN, WORST = 0.4, 0.2, 0.02
"""Less latency than the original all on the GPU: of the best model, in geometric mean, and most that one may lose."""
SAVED, AT_MOST, WORK = 0.85, 2.0, 0.2
"""Less GPU memory of the best model, at most so many times the latency, with at least this part of the work there."""
STATED = 0.05
"""How far the GPU memory that a plan states may be from what NVML shows."""
NOISE = 0.02
"""Latencies nearer than this part are equal."""


@dataclass(frozen=True)
class Saving:
    """A plan that takes less GPU memory."""

    model: str
    contender: str
    saved: float
    """The part of the original's GPU memory, both without the context."""
    times: float
    """Its latency in that of the original."""
    work: float
    """The part of the model's work that is on the GPU."""


def times(item: Data, name: str) -> float | None:
    """A contender's latency in that of the original all on the GPU, from figures of the same rounds."""
    gain = item["contenders"].get(name, {}).get("gain")
    return 1 / gain if gain else None


def own_bytes(item: Data, name: str) -> int | None:
    """GPU memory of a contender without the context; None where it is not known."""
    contender = item["contenders"].get(name, {})
    taken = contender.get("gpuBytes")
    return None if taken is None else int(taken - contender["contextBytes"])


def original_bytes(item: Data) -> int | None:
    """GPU memory of the original all on the GPU, in the session that takes less of it."""
    found = [nbytes for name in (ORIGINAL, BOUND) if (nbytes := own_bytes(item, name)) is not None]
    return min(found, default=None)


def partition_gain(item: Data) -> float | None:
    """How many times as fast the latency plan is as the better single device with every rewrite that helps."""
    plan = times(item, LATENCY)
    single = [found for name in (REWRITTEN_GPU, REWRITTEN_CPU) if (found := times(item, name)) is not None]
    return min(single) / plan if single and plan else None


def savings(results: Sequence[Data]) -> Iterator[Saving]:
    """Every plan of Chrion's whose memory can be held against the original's."""
    for item in results:
        whole = original_bytes(item)
        for name, plan in item["plans"].items():
            taken, ratio = own_bytes(item, name), times(item, name)
            if whole and taken is not None and ratio is not None and name.startswith((LATENCY, MEMORY)):
                yield Saving(item["model"], name, 1 - taken / whole, ratio, plan["gpuWork"])


def dominates(item: Data) -> bool | None:
    """Whether for each of ONNX Runtime's own placements some plan is better in one and no worse in the other.

    None where no placement's latency and memory are known.
    """
    points = list(_points(item, PLACED))
    plans = [*_points(item, LATENCY), *_points(item, MEMORY)]
    return all(any(beats(plan, point, NOISE) for plan in plans) for point in points) if points else None


def _points(item: Data, prefix: str) -> Iterator[Point]:
    for name in item["contenders"]:
        ratio, taken = times(item, name), own_bytes(item, name)
        if name.startswith(prefix) and ratio is not None and taken is not None:
            yield Point(ratio, taken)


def misstated(item: Data) -> dict[str, float]:
    """By plan on the GPU, how far what it states is from what NVML shows of another process, as a part of that.

    Only plans that are served state anything; of the others it is predicted.
    """
    found = {}
    for name, plan in item["plans"].items():
        taken = item["contenders"][name].get("gpuBytes")
        if taken and name.startswith((LATENCY, MEMORY)):
            found[name] = abs(plan["statedBytes"] - taken) / taken
    return found


def aims(results: Sequence[Data]) -> list[Aim]:
    """What is aimed at on a GPU, and what was reached of it."""
    ratios = {item["model"]: ratio for item in results if (ratio := times(item, LATENCY)) is not None}
    best = min(ratios, key=ratios.__getitem__, default="")
    worst = max(ratios, key=ratios.__getitem__, default="")
    mean = geometric_mean(ratios.values()) if ratios else None
    return [
        Aim(
            f"best model: at least {BEST:.0%} less latency than the original all on the GPU",
            f"{less(ratios[best])} ({best})" if best else NONE,
            1 - ratios[best] >= BEST if best else None,
        ),
        Aim(
            f"geometric mean: at least {MEAN:.0%} less latency",
            f"{less(mean)} over {len(ratios)} of {len(results)} models" if mean else NONE,
            1 - mean >= MEAN if mean else None,
        ),
        Aim(
            f"no model more than {WORST:.0%} slower",
            f"the worst: {less(ratios[worst])} ({worst})" if worst else NONE,
            ratios[worst] <= 1 + WORST if worst else None,
        ),
        _memory_aim(results),
        _placement_aim(results),
        _stated_aim(results),
    ]


def _memory_aim(results: Sequence[Data]) -> Aim:
    text = (
        f"best model: at least {SAVED:.0%} less GPU memory, without the context, at most ×{AT_MOST:g} the latency, "
        f"with {WORK:.0%} of the work on the GPU"
    )
    able = [one for one in savings(results) if one.work >= WORK and one.times <= AT_MOST]
    if not able:
        known = any(True for _ in savings(results))
        value = "no plan has so much work there in so short a time" if known else NONE
        return Aim(text, value, False if known else None)
    best = max(able, key=lambda one: one.saved)
    value = f"{best.saved:.0%} less at ×{best.times:.2f}, {best.work:.0%} of the work ({best.model}, {best.contender})"
    return Aim(text, value, best.saved >= SAVED)


def _placement_aim(results: Sequence[Data]) -> Aim:
    judged = {item["model"]: won for item in results if (won := dominates(item)) is not None}
    lost = [model for model, won in judged.items() if not won]
    value = f"{len(judged) - len(lost)} of {len(judged)} models" + (f"; not {', '.join(lost)}" if lost else "")
    return Aim(
        "the frontier dominates ONNX Runtime's budgeted placement on every model",
        value if judged else NONE,
        not lost if judged else None,
    )


def _stated_aim(results: Sequence[Data]) -> Aim:
    found = {(item["model"], name): off for item in results for name, off in misstated(item).items()}
    worst = max(found, key=found.__getitem__, default=("", ""))
    return Aim(
        f"stated GPU memory within {STATED:.0%} of what NVML shows",
        f"{sum(off <= STATED for off in found.values())} of {len(found)} plans, the worst {found[worst]:.0%} off "
        f"({', '.join(worst)})"
        if found
        else NONE,
        found[worst] <= STATED if found else None,
    )


def less(times: float) -> str:
    """A latency in that of another, in words."""
    return f"{1 - times:.0%} less" if times <= 1 else f"{times - 1:.0%} more"
