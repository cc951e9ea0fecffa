"""Objective: whether the SLO is met, by what the replicas say."""

from collections.abc import Sequence

from chrion_api import ChrionModelSpec, Reason
from chrion_operator.reconcile.claim import Claim
from chrion_operator.reconcile.planning import Planning
from chrion_operator.reconcile.serving import Serving


def slo_met(spec: ChrionModelSpec, plannings: Sequence[Planning], servings: Sequence[Serving]) -> Claim:
    """SLOMet: what replicas observe counts before what was measured when planning."""
    budget = spec.slo.gpu_memory.bytes if spec.slo.gpu_memory is not None else None
    for planning in plannings:
        if budget is not None and planning.frontier is not None and planning.frontier.least_gpu_bytes > budget:
            least = f"the smallest takes {planning.frontier.least_gpu_bytes} bytes"
            text = f"spec.slo.gpuMemory: {spec.slo.gpu_memory} is less than any plan needs; {least}"
            return Claim("False", Reason.INFEASIBLE_SLO, text)
    target = spec.slo.latency
    if target is None:
        return Claim("True", Reason.SUCCEEDED, "the objective has no latency")
    answers = [(pod, answer) for serving in servings for pod, answer in serving.answers]
    if not answers:
        return Claim("Unknown", Reason.PENDING, "no replica has answered yet")
    wanted = f"{target} at p{spec.slo.percentile:g}"
    missed = [(pod, answer) for pod, answer in answers if answer.slo_met is False]
    hopeless = [(pod, answer) for pod, answer in answers if not answer.meets_slo and answer.slo_met is not True]
    if hopeless:
        pod, answer = hopeless[0]
        return Claim("False", Reason.INFEASIBLE_SLO, f"no plan meets {wanted}; serving the nearest, {answer.plan}")
    if missed:
        pod, answer = max(missed, key=lambda item: item[1].latency_seconds or 0.0)
        seen = f"{answer.latency_seconds * 1e3:g} ms" if answer.latency_seconds is not None else "a higher latency"
        return Claim("False", Reason.SLO_MISSED, f"{seen} in pod {pod}; the objective is {wanted}")
    if any(answer.slo_met for _, answer in answers):
        return Claim("True", Reason.SUCCEEDED, f"within {wanted}")
    return Claim("True", Reason.SUCCEEDED, f"within {wanted} as the planner measured it; no requests yet")
