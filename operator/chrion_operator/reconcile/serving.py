"""Serving: the replicas of one node class, and how they do."""

from dataclasses import dataclass

from chrion_api import Reason
from chrion_operator import manifests, names
from chrion_operator.names import Object
from chrion_operator.reconcile.current import is_current
from chrion_operator.reconcile.jobs import stuck_container
from chrion_operator.reconcile.observed import Patch, PodAnswer
from chrion_operator.reconcile.planning import Planning, Situation


@dataclass(frozen=True)
class Trouble:
    """Why a replica does not come up."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Serving:
    """The replicas of one node class."""

    wanted: int
    """Replicas that there shall be."""
    current: bool
    """Whether all of them serve the wanted revision and the spec as it is now."""
    ready: int = 0
    """Replicas that answer, of whatever revision."""
    updated: int = 0
    """Replicas of the spec as it is now."""
    existing: int = 0
    """Replicas that exist."""
    trouble: Trouble | None = None
    """Why one does not come up."""
    answers: tuple[tuple[str, PodAnswer], ...] = ()
    """What ready replicas say, by pod."""
    apply: tuple[Object, ...] = ()
    patch: tuple[Patch, ...] = ()


def serve_class(at: Situation, planning: Planning, replicas: int) -> Serving:
    """What is to be done so that a node class serves by its frontier; until there is one, the old revision stays."""
    cls = planning.cls
    name = names.deployment_name(at.model, cls.name)
    seen = at.observed.get("Deployment", name)
    pods = _pods(at, cls.name)
    trouble = next(filter(None, map(_trouble, pods)), None)
    apply: tuple[Object, ...] = ()
    patch: tuple[Patch, ...] = ()
    current = False
    if planning.frontier is not None:
        wanted = manifests.deployment(
            at.owner,
            at.spec,
            cls,
            planning.revision,
            replicas,
            planning.frontier.model,
            at.settings,
            at.server,
            stuck=trouble is not None and trouble.reason is Reason.UNSCHEDULABLE,
        )
        apply = (wanted,)
        current = seen is not None and is_current(at.observed, wanted)
    elif seen is not None and seen.object["spec"].get("replicas") != replicas:
        # The template is that of an earlier spec, of which only this is still wanted.
        patch = (Patch("Deployment", name, seen.object["metadata"]["uid"], {"spec": {"replicas": replicas}}),)
    status = seen.object.get("status", {}) if seen is not None else {}
    observed = seen is not None and status.get("observedGeneration") == seen.object["metadata"].get("generation")
    ready, updated, existing = (status.get(what, 0) for what in ("readyReplicas", "updatedReplicas", "replicas"))
    return Serving(
        wanted=replicas,
        current=current and observed and replicas == ready == updated == existing,
        ready=ready,
        updated=updated,
        existing=existing,
        trouble=trouble,
        answers=tuple(
            (pod["metadata"]["name"], at.observed.answers[pod["metadata"]["name"]])
            for pod in pods
            if is_ready(pod) and pod["metadata"]["name"] in at.observed.answers
        ),
        apply=apply,
        patch=patch,
    )


def announce_slo(at: Situation) -> tuple[Patch, ...]:
    """Annotations of the running pods with the objective, on which the kubelet looks at their volumes at once."""
    digest = manifests.slo_digest(at.spec)
    patch: Object = {"metadata": {"annotations": {names.SLO_ANNOTATION: digest}}}
    return tuple(
        Patch("Pod", seen.object["metadata"]["name"], seen.object["metadata"]["uid"], patch)
        for seen in at.observed.of_kind("Pod", "runtime")
        if seen.object.get("status", {}).get("phase") == "Running"
        and "deletionTimestamp" not in seen.object["metadata"]
        and (seen.object["metadata"].get("annotations") or {}).get(names.SLO_ANNOTATION) != digest
    )


def is_ready(pod: Object) -> bool:
    """Whether a pod answers requests."""
    ready = any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in pod.get("status", {}).get("conditions", ())
    )
    return ready and "deletionTimestamp" not in pod["metadata"]


def _pods(at: Situation, cls: str) -> list[Object]:
    label = names.label_value(cls)
    return [
        seen.object
        for seen in at.observed.of_kind("Pod", "runtime")
        if seen.object["metadata"]["labels"].get(names.CLASS_LABEL) == label
    ]


def _trouble(pod: Object) -> Trouble | None:
    status, name = pod.get("status", {}), pod["metadata"]["name"]
    if "deletionTimestamp" in pod["metadata"] or is_ready(pod):
        return None
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Trouble(Reason.UNSCHEDULABLE, f"pod {name}: {condition.get('message', 'no node has room for it')}")
    if (stuck := stuck_container(pod)) is not None:
        return Trouble(Reason.POD_BLOCKED, f"pod {name}: {stuck[1]}")
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") == "CrashLoopBackOff":
            ended = (container.get("lastState") or {}).get("terminated") or {}
            said = str(ended.get("message") or "").strip() or f"exit code {ended.get('exitCode')}"
            oom = (
                "out of memory; raise spec.runtime.resources.limits.memory: "
                if ended.get("reason") == "OOMKilled"
                else ""
            )
            return Trouble(Reason.POD_CRASHES, f"pod {name}: container {container['name']}: {oom}{said[:400]}")
    return None
