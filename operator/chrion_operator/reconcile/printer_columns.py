"""Printer columns of the status: where a model runs, how fast and with how much GPU memory, each as one short text."""

from collections.abc import Sequence

from chrion_operator.reconcile.observed import PodAnswer

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))
_MIB = 1 << 20


def latency(answers: Sequence[PodAnswer]) -> str | None:
    """That of the slowest replica, such as 12ms: as observed, else, before there were requests, as planned."""
    seconds = [
        found
        for answer in answers
        if (found := answer.latency_seconds or answer.measured_seconds or answer.predicted_seconds)
    ]
    if not seconds:
        return None
    slowest = float(f"{max(seconds):.2g}")
    size, unit = next((one for one in _UNITS if slowest >= one[0]), _UNITS[-1])
    return f"{slowest / size:.4g}{unit}"


def gpu_memory(answers: Sequence[PodAnswer]) -> str | None:
    """That of the replica that takes most, such as 180Mi; rounded up, so that it is never said to fit and does not."""
    taken = [answer.gpu_bytes for answer in answers if answer.gpu_bytes is not None]
    if not taken:
        return None
    return f"{-(-max(taken) // _MIB)}Mi" if max(taken) else "0"


def runs_on(answers: Sequence[PodAnswer]) -> str | None:
    """The devices that the plans in use hold, such as `cpu, cuda:0`."""
    return ", ".join(sorted({device for answer in answers for device in answer.devices})) or None
