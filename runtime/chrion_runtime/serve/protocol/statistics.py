"""What was asked of a model since it is served, in the words of Triton's statistics extension.

Specification: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_statistics.md
"""

from dataclasses import dataclass
from typing import Any

from chrion_runtime.serve.protocol.metadata import MODEL_VERSION


@dataclass(frozen=True)
class Total:
    """How often something happened, and the seconds that it took altogether."""

    count: int
    seconds: float

    def to_data(self) -> dict[str, int]:
        """As the extension has it."""
        return {"count": self.count, "ns": max(0, round(self.seconds * 1e9))}


@dataclass(frozen=True)
class ModelTotals:
    """What was asked of a model."""

    answered: Total
    failed: Total
    queued: Total
    ran: Total
    last: float
    """When the last request was answered, in seconds since 1970; 0 where none was."""


def model_statistics(name: str, asked: ModelTotals) -> dict[str, Any]:
    """One model's entry in `model_stats`.

    Reading a request and writing its answer are timed together: both are in `compute_input`. A batch counts as one
    execution for each of its requests.
    """
    rest = asked.answered.seconds - asked.queued.seconds - asked.ran.seconds
    nothing = Total(0, 0.0).to_data()
    return {
        "name": name,
        "version": MODEL_VERSION,
        "last_inference": round(asked.last * 1e3),
        "inference_count": asked.answered.count,
        "execution_count": asked.ran.count,
        "inference_stats": {
            "success": asked.answered.to_data(),
            "fail": asked.failed.to_data(),
            "queue": asked.queued.to_data(),
            "compute_input": Total(asked.answered.count, rest).to_data(),
            "compute_infer": asked.ran.to_data(),
            "compute_output": Total(asked.answered.count, 0.0).to_data(),
            "cache_hit": nothing,
            "cache_miss": nothing,
        },
        "batch_stats": [],
    }
