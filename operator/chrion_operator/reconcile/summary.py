"""Summary: the little that decisions need of a plan, which itself is up to a megabyte."""

import hashlib
from dataclasses import dataclass

from chrion_api.handover import PLAN_KEY
from chrion_operator.errors import PlanRefused
from chrion_operator.names import Object
from chrion_operator.plans import read_plan


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """What a ConfigMap's plan says, or why it cannot be served."""

    written: str
    """A digest of what is written, valid or not."""
    digest: str = ""
    """The plan file's digest, as `Planned.digest`; empty where it is refused."""
    model: str = ""
    """The digest of the model that it is for."""
    least_gpu_bytes: int = 0
    """GPU memory of the smallest plan, over the buckets: less than this serves no request of some shape."""
    problem: str = ""
    """Why it is refused; empty where it is not."""


def summarise(configmap: Object, before: PlanSummary | None = None) -> PlanSummary | None:
    """The summary of a ConfigMap's plan; `before` again where nothing changed, None where it holds no plan."""
    written = next(
        (
            value
            for field in ("data", "binaryData")
            if (value := (configmap.get(field) or {}).get(PLAN_KEY)) is not None
        ),
        None,
    )
    if written is None:
        return None
    mark = hashlib.sha256(str(written).encode()).hexdigest()
    if before is not None and before.written == mark:
        return before
    try:
        planned = read_plan(configmap)
    except PlanRefused as refused:
        return PlanSummary(mark, problem=str(refused))
    least = max(min(plan.gpu_bytes.total for plan in bucket.plans) for bucket in planned.file.buckets)
    return PlanSummary(mark, planned.digest, planned.file.model, least)
