"""Conditions: what a decision's findings come to, for people and for `kubectl wait`.

Ready says whether it answers, Serving whether it does so as the spec now says; Reconciling, Stalled and Ready are what
kstatus and its users (Flux, Argo CD, kpt) read.
"""

from collections.abc import Mapping, Sequence

from chrion_api import ChrionModelSpec, ConditionType, Reason
from chrion_operator.reconcile.claim import Claim
from chrion_operator.reconcile.jobs import FETCH, Phase
from chrion_operator.reconcile.objective import slo_met
from chrion_operator.reconcile.observed import WriteRefusal
from chrion_operator.reconcile.planning import Planning
from chrion_operator.reconcile.serving import Serving, Trouble

Claims = Mapping[ConditionType, Claim]

RECONCILED = Claim("False", Reason.SUCCEEDED, "the cluster matches the spec")
NOT_STALLED = Claim("False", Reason.SUCCEEDED, "no change of the spec is needed")


def claims(
    spec: ChrionModelSpec, plannings: Sequence[Planning], servings: Sequence[Serving], refusals: Sequence[WriteRefusal]
) -> Claims:
    """All conditions of a model whose spec can be used."""
    serving = _serving(plannings, servings)
    stalled = _stalled(plannings, refusals)
    return {
        ConditionType.READY: _ready(plannings, servings, serving, stalled),
        ConditionType.RECONCILING: _reconciling(plannings, serving, stalled, refusals),
        ConditionType.STALLED: stalled,
        ConditionType.MODEL_RESOLVED: _model_resolved(plannings),
        ConditionType.PROFILED: _profiled(plannings, servings),
        ConditionType.PLANNED: _planned(plannings),
        ConditionType.SERVING: serving,
        ConditionType.SLO_MET: slo_met(spec, plannings, servings),
    }


def invalid(message: str, before: Claims, ready: int) -> Claims:
    """Where the spec cannot be used: all stays as it is, and says of the earlier spec what it said."""
    stalled = Claim("True", Reason.INVALID_SPEC, message)
    unknown = Claim("Unknown", Reason.INVALID_SPEC, "")
    return {
        **{kind: before.get(kind, unknown) for kind in ConditionType},
        ConditionType.READY: _answers(ready) if ready else Claim("False", Reason.INVALID_SPEC, message),
        ConditionType.RECONCILING: Claim("False", Reason.INVALID_SPEC, "the spec is invalid"),
        ConditionType.STALLED: stalled,
        ConditionType.SERVING: Claim(
            "False", Reason.INVALID_SPEC, "still serving by the previous spec" if ready else ""
        ),
    }


def paused(before: Claims, ready: int) -> Claims:
    """Where all is left as it is."""
    unknown = Claim("Unknown", Reason.PAUSED, "")
    return {
        **{kind: before.get(kind, unknown) for kind in ConditionType},
        ConditionType.READY: _answers(ready) if ready else Claim("False", Reason.PAUSED, "spec.paused is true"),
        ConditionType.RECONCILING: Claim("False", Reason.PAUSED, "spec.paused is true"),
        ConditionType.STALLED: NOT_STALLED,
    }


def _answers(ready: int, wanted: int | None = None) -> Claim:
    of = f" of {wanted}" if wanted is not None else ""
    return Claim("True", Reason.SUCCEEDED, f"{ready}{of} {'replica answers' if ready == 1 else 'replicas answer'}")


def _ready(plannings: Sequence[Planning], servings: Sequence[Serving], serving: Claim, stalled: Claim) -> Claim:
    ready, wanted = (sum(getattr(one, what) for one in servings) for what in ("ready", "wanted"))
    if ready:
        return _answers(ready, wanted)
    if stalled.status == "True":
        return Claim("False", stalled.reason, stalled.message)
    if not wanted:
        return Claim("False", Reason.SCALED_TO_ZERO, "spec.runtime.replicas is 0")
    worst = _worst(plannings)
    if worst is not None:
        return Claim("False", worst.report.reason, _said(worst, plannings))
    return Claim("False", serving.reason if serving.status == "False" else Reason.ROLLING_OUT, serving.message)


def _reconciling(
    plannings: Sequence[Planning], serving: Claim, stalled: Claim, refusals: Sequence[WriteRefusal]
) -> Claim:
    if stalled.status == "True":
        return Claim("False", stalled.reason, "waiting for a change; see Stalled")
    if refusals:
        return Claim("True", refusals[0].reason, _refused(refusals[0]))
    worst = _worst(plannings)
    if worst is not None:
        return Claim("True", worst.report.reason, _said(worst, plannings))
    if serving.status != "True":
        return Claim("True", serving.reason, serving.message)
    return RECONCILED


def _stalled(plannings: Sequence[Planning], refusals: Sequence[WriteRefusal]) -> Claim:
    for planning in plannings:
        if planning.gave_up:
            return Claim("True", planning.report.reason, _said(planning, plannings))
    for refusal in refusals:
        if refusal.reason in (Reason.INVALID_SPEC, Reason.NOT_OURS):
            return Claim("True", refusal.reason, _refused(refusal))
    return NOT_STALLED


def _model_resolved(plannings: Sequence[Planning]) -> Claim:
    if all(planning.done for planning in plannings):
        digests = sorted({planning.frontier.model for planning in plannings if planning.frontier is not None})
        return Claim("True", Reason.SUCCEEDED, ", ".join(f"sha256 {digest[:12]}" for digest in digests))
    for planning in plannings:
        failed = planning.report.phase in (Phase.FAILED, Phase.REFUSED)
        if not planning.done and failed and planning.report.container == FETCH:
            return Claim("False", planning.report.reason, _said(planning, plannings))
    return Claim("Unknown", Reason.PENDING, "the planner is fetching the model")


def _profiled(plannings: Sequence[Planning], servings: Sequence[Serving]) -> Claim:
    worst = _worst(plannings)
    if worst is not None:
        if worst.report.container == FETCH and worst.report.phase is not Phase.WAITING:
            return Claim("Unknown", Reason.PENDING, "the model has not been fetched yet")
        return Claim("False", worst.report.reason, _said(worst, plannings))
    for serving in servings:
        for pod, answer in serving.answers:
            if answer.stale:
                return Claim("False", Reason.PLAN_STALE, f"pod {pod}: {answer.stale}")
    return Claim("True", Reason.SUCCEEDED, "profiled on every node class")


def _planned(plannings: Sequence[Planning]) -> Claim:
    worst = _worst(plannings)
    if worst is not None:
        return Claim("False", worst.report.reason, _said(worst, plannings))
    for planning in plannings:
        if planning.refused:
            return Claim("True", Reason.PLAN_REFUSED, f"{planning.refused}; still serving the previous plan")
    return Claim("True", Reason.SUCCEEDED, "planned for every node class")


def _serving(plannings: Sequence[Planning], servings: Sequence[Serving]) -> Claim:
    ready, wanted, updated = (sum(getattr(one, what) for one in servings) for what in ("ready", "wanted", "updated"))
    worst = _worst(plannings)
    if worst is not None:
        earlier = "still serving an earlier plan" if ready else "nothing serves until there is a plan"
        return Claim("False", worst.report.reason, earlier)
    if all(serving.current for serving in servings):
        text = f"{wanted} {'replica serves' if wanted == 1 else 'replicas serve'} the current spec"
        return Claim("True", Reason.SUCCEEDED if wanted else Reason.SCALED_TO_ZERO, text)
    trouble: Trouble | None = next((one.trouble for one in servings if one.trouble is not None), None)
    if trouble is not None:
        return Claim("False", trouble.reason, trouble.message)
    return Claim("False", Reason.ROLLING_OUT, f"{updated} of {wanted} replicas have the current spec, {ready} answer")


_ORDER = (Phase.REFUSED, Phase.FAILED, Phase.WAITING, Phase.RUNNING, Phase.SUCCEEDED)


def _worst(plannings: Sequence[Planning]) -> Planning | None:
    """The class that keeps the model from being planned: the one in the most trouble."""
    undone = [planning for planning in plannings if not planning.done]
    return min(undone, key=lambda planning: _ORDER.index(planning.report.phase), default=None)


def _said(planning: Planning, plannings: Sequence[Planning]) -> str:
    report = planning.report
    text = f"{planning.percent} %: {report.message}" if planning.percent is not None else report.message
    if report.phase is Phase.FAILED:
        text += "; trying again"
    return f"{planning.cls.name}: {text}" if len(plannings) > 1 else text


def _refused(refusal: WriteRefusal) -> str:
    return f"{refusal.subject}: {refusal.message}"
