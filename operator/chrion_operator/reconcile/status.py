"""Status: the conditions and what runs where, as the ChrionModel's status has it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from chrion_api import Condition, ConditionType, Reason, Status
from chrion_api.status import ClassStatus, ReplicaStatus, ResolvedModel
from chrion_operator import names
from chrion_operator.names import Object
from chrion_operator.reconcile.claim import Claim
from chrion_operator.reconcile.conditions import Claims
from chrion_operator.reconcile.observed import ModelEvent
from chrion_operator.reconcile.planning import Planning
from chrion_operator.reconcile.printer_columns import gpu_memory, latency, runs_on
from chrion_operator.reconcile.serving import Serving

_QUIET = frozenset({Reason.PENDING, Reason.PLANNING, Reason.ROLLING_OUT, Reason.PAUSED, Reason.SCALED_TO_ZERO})
"""Reasons that are no warning: it goes on by itself."""

_TOLD = (
    ConditionType.MODEL_RESOLVED,
    ConditionType.PROFILED,
    ConditionType.PLANNED,
    ConditionType.SERVING,
    ConditionType.SLO_MET,
    ConditionType.STALLED,
)
"""The conditions whose changes are told as events; the others follow from them."""


def conditions(
    claims: Claims, before: Sequence[Mapping[str, Any]], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The claims with the moment at which each came to hold."""
    since = {one.get("type"): one["lastTransitionTime"] for one in before if _holds_on(one, claims)}
    return tuple(
        Condition(
            type=kind,
            status=claim.status,
            reason=claim.reason,
            # Kubernetes 1.20 takes an empty message for none at all, and refuses the condition.
            message=claim.message[:1024] or claim.reason.value,
            last_transition_time=since.get(kind, now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")),
            observed_generation=generation,
        )
        for kind, claim in claims.items()
    )


def earlier_claims(before: Sequence[Mapping[str, Any]]) -> Claims:
    """The claims that conditions were made of; without those that can no longer be read."""
    found: dict[ConditionType, Claim] = {}
    for one in before:
        try:
            found[ConditionType(one["type"])] = Claim(one["status"], Reason(one["reason"]), one.get("message", ""))
        except (ValueError, KeyError):
            continue
    return found


def events(claims: Claims, before: Claims) -> tuple[ModelEvent, ...]:
    """What changed, for people; one reason is told once, though several conditions have it."""
    found: dict[str, ModelEvent] = {}
    for kind in _TOLD:
        claim, earlier = claims[kind], before.get(kind)
        changed = earlier is None or (claim.status, claim.reason) != (earlier.status, earlier.reason)
        well = claim.status == ("False" if kind is ConditionType.STALLED else "True")
        if not changed or claim.status == "Unknown" or (well and (earlier is None or kind is ConditionType.STALLED)):
            continue
        calm = claim.reason in (Reason.SUCCEEDED, *_QUIET) and (well or claim.reason in _QUIET)
        reason = kind.value if well and claim.reason is Reason.SUCCEEDED else claim.reason.value
        found.setdefault(reason, ModelEvent("Normal" if calm else "Warning", reason, claim.message))
    return tuple(found.values())


def status(
    owner: Object, claims: Claims, plannings: Sequence[Planning], servings: Sequence[Serving], now: datetime
) -> Object:
    """The whole status."""
    before = owner.get("status") or {}
    generation = owner["metadata"].get("generation", 0)
    answers = [answer for serving in servings for _, answer in serving.answers]
    return Status(
        observed_generation=generation,
        conditions=conditions(claims, before.get("conditions") or (), generation, now),
        classes=tuple(_class(*both) for both in zip(plannings, servings, strict=True)),
        model=_model(plannings) or _earlier_model(before),
        url=names.url(owner),
        latency=latency(answers),
        gpu_memory=gpu_memory(answers),
        runs_on=runs_on(answers),
        replicas=sum(serving.existing for serving in servings),
        ready_replicas=sum(serving.ready for serving in servings),
        selector=names.selector_text(names.model_name(owner)),
    ).to_data()


def unchanged_but(owner: Object, claims: Claims, now: datetime) -> Object:
    """The status as it was, with other conditions."""
    before = dict(owner.get("status") or {})
    generation = owner["metadata"].get("generation", 0)
    made = conditions(claims, before.get("conditions") or (), generation, now)
    return {**before, "observedGeneration": generation, "conditions": [condition.to_data() for condition in made]}


def _class(planning: Planning, serving: Serving) -> ClassStatus:
    answer = serving.answers[0][1] if serving.answers else None
    return ClassStatus(
        node_class=planning.cls.name,
        predicted_latency_seconds=answer.predicted_seconds if answer is not None else None,
        measured_latency_seconds=answer.measured_seconds if answer is not None else None,
        gpu_bytes=answer.gpu_bytes if answer is not None else None,
        replicas=tuple(
            ReplicaStatus(pod=pod, plan=said.plan, latency_seconds=said.latency_seconds, slo_met=said.slo_met)
            for pod, said in serving.answers
        ),
    )


def _model(plannings: Sequence[Planning]) -> ResolvedModel | None:
    frontier = next((planning.frontier for planning in plannings if planning.frontier is not None), None)
    return ResolvedModel(sha256=frontier.model) if frontier is not None else None


def _earlier_model(before: Mapping[str, Any]) -> ResolvedModel | None:
    """The model that serves until there is a plan for the one that the spec names now."""
    digest = (before.get("model") or {}).get("sha256")
    return ResolvedModel(sha256=digest) if isinstance(digest, str) else None


def _holds_on(one: Mapping[str, Any], claims: Claims) -> bool:
    return any(kind.value == one.get("type") and claim.status == one.get("status") for kind, claim in claims.items())
