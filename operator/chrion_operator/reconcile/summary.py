"""Summary: the little that decisions need of a plan, which itself is up to a megabyte."""

import hashlib
from dataclasses import dataclass

from chrion_api.handover import PLAN_KEY
from chrion_operator.errors import UnservablePlan
from chrion_operator.names import Object, UnreadablePart
from chrion_operator.plans import read_plan


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """What a ConfigMap's plan says, or why it cannot be served."""

    written: str
    """A digest of what is written, valid or not."""
    digest: str = ""
    """The plan file's digest, as `CheckedPlan.digest`; empty where it is refused."""
    model: str = ""
    """The digest of the model that it is for."""
    least_gpu_bytes: int = 0
    """GPU memory of the smallest plan, over the buckets: less than this serves no request of some shape."""
    problem: str = ""
    """Why it is refused; empty where it is not."""
    unread: bool = False
    """Whether nobody has looked yet at what is written."""


def unread(configmap: Object, before: PlanSummary | None = None) -> PlanSummary | None:
    """The summary of a plan that is not to be read now; `before` again where nothing changed, None without a plan."""
    written = next(
        (
            content if isinstance(content, UnreadablePart) else content[PLAN_KEY]
            for field in ("data", "binaryData")
            if isinstance(content := configmap.get(field), UnreadablePart) or (content and PLAN_KEY in content)
        ),
        None,
    )
    if written is None:
        return None
    mark = hashlib.sha256(str(written).encode("utf-8", "surrogatepass")).hexdigest()
    return before if before is not None and before.written == mark else PlanSummary(mark, unread=True)


def summarise(configmap: Object) -> PlanSummary | None:
    """The summary of a ConfigMap's plan; None where it holds none."""
    summary = unread(configmap)
    if summary is None:
        return None
    try:
        planned = read_plan(configmap)
    except UnservablePlan as refused:
        return PlanSummary(summary.written, problem=str(refused))
    least = max(min(plan.gpu_bytes.total for plan in bucket.plans) for bucket in planned.file.buckets)
    return PlanSummary(summary.written, planned.digest, planned.file.model, least)
