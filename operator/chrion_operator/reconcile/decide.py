"""The one decision: from a ChrionModel and what there is, what to write."""

from datetime import datetime

from chrion_api import ChrionModelSpec, InvalidField
from chrion_operator import manifests
from chrion_operator.manifests import Server
from chrion_operator.names import Object, UnreadablePart
from chrion_operator.nodes import node_classes, split_replicas
from chrion_operator.reconcile import conditions, status
from chrion_operator.reconcile.cleanup import lost_classes, superseded, unwanted
from chrion_operator.reconcile.conditions import Claims
from chrion_operator.reconcile.current import is_current
from chrion_operator.reconcile.observed import Decision, Delete, Observed
from chrion_operator.reconcile.planning import Planning, Situation, plan_class
from chrion_operator.reconcile.serving import Serving, announce_slo, serve_class
from chrion_operator.settings import Settings

LOOK_AGAIN = 60.0
"""Seconds until what no watch tells of is looked at again: who holds GPUs, what spec.planRef names."""


def decide(owner: Object, observed: Observed, settings: Settings, server: Server, now: datetime) -> Decision:
    """What to write for a ChrionModel; nothing where all is as it should be. Pure.

    Doing it and deciding again, as often as needed, leads to the same end from wherever it begins.
    """
    before = status.earlier_claims((owner.get("status") or {}).get("conditions") or ())
    ready = sum(
        seen.object.get("status", {}).get("readyReplicas", 0) for seen in observed.of_kind("Deployment", "runtime")
    )
    wanted = owner.get("spec")
    if isinstance(wanted, dict) and wanted.get("paused") is True:
        claims = conditions.paused(before, ready)
        return _with_status(Decision(), owner, status.unchanged_but(owner, claims, now), claims, before)
    try:
        if isinstance(wanted, UnreadablePart):
            raise InvalidField("spec", wanted)
        spec = ChrionModelSpec.parse(wanted, "spec")
        at = Situation(owner, spec, observed, settings, server, now, {k.value: c.reason for k, c in before.items()})
        plannings, servings, decision = _work(at)
    except InvalidField as error:
        claims = conditions.invalid(str(error), before, ready)
        return _with_status(Decision(), owner, status.unchanged_but(owner, claims, now), claims, before)
    claims = conditions.claims(spec, plannings, servings, observed.refusals)
    return _with_status(decision, owner, status.status(owner, claims, plannings, servings, now), claims, before)


def _work(at: Situation) -> tuple[list[Planning], list[Serving], Decision]:
    classes = node_classes(at.spec, at.observed.nodes, at.settings)
    replicas = split_replicas(at.spec.runtime.replicas, classes)
    plannings = [plan_class(at, cls) for cls in classes]
    servings = [serve_class(at, planning, replicas[planning.cls.name]) for planning in plannings]
    budget = manifests.pod_disruption_budget(at.owner, at.spec, at.server)
    monitor = manifests.service_monitor(at.owner, at.settings, at.server)
    asked = {"PodDisruptionBudget": budget, "ServiceMonitor": monitor}
    wanted = (
        manifests.slo_configmap(at.owner, at.spec),
        manifests.service(at.owner),
        *(made for made in asked.values() if made is not None),
        *(made for planning in plannings for made in planning.apply),
        *(made for serving in servings for made in serving.apply),
    )
    decision = Decision(
        share=tuple(manifest for planning in plannings for manifest in planning.share),
        apply=tuple(manifest for manifest in wanted if not is_current(at.observed, manifest)),
        copy=tuple(copy for planning in plannings for copy in planning.copy),
        patch=(
            *(patch for planning in plannings for patch in planning.patch),
            *(patch for serving in servings for patch in serving.patch),
            *announce_slo(at),
        ),
        delete=_not_yet_deleted(
            at.observed,
            (
                *(delete for planning in plannings for delete in planning.delete),
                *superseded(at, plannings),
                *unwanted(at, [kind for kind, made in asked.items() if made is None]),
                *(lost_classes(at, plannings) if all(serving.current for serving in servings) else ()),
            ),
        ),
        again_after=min(
            (planning.again_after for planning in plannings if planning.again_after is not None),
            default=LOOK_AGAIN if at.spec.plan_ref is not None or at.observed.holders else None,
        ),
    )
    return plannings, servings, decision


def _not_yet_deleted(observed: Observed, deletes: tuple[Delete, ...]) -> tuple[Delete, ...]:
    found: dict[Delete, None] = {}
    for delete in deletes:
        seen = observed.get(delete.kind, delete.name)
        if seen is not None and "deletionTimestamp" not in seen.object["metadata"]:
            found[delete] = None
    return tuple(found)


def _with_status(decision: Decision, owner: Object, made: Object, claims: Claims, before: Claims) -> Decision:
    return Decision(
        events=status.events(claims, before),
        share=decision.share,
        apply=decision.apply,
        copy=decision.copy,
        patch=decision.patch,
        delete=decision.delete,
        status=made if made != (owner.get("status") or {}) else None,
        again_after=decision.again_after,
    )
