"""Clean-up: the objects of a model that nothing needs any more."""

from collections.abc import Sequence
from itertools import groupby

from chrion_operator import names
from chrion_operator.names import Object
from chrion_operator.reconcile.observed import Delete, Observed
from chrion_operator.reconcile.planning import Planning, Situation

KEPT_FRONTIERS = 2
"""Frontiers of each class that are kept although nothing uses them, the newest: going back needs no Job."""


def superseded(at: Situation, plannings: Sequence[Planning]) -> tuple[Delete, ...]:
    """Jobs of other revisions, which would write where the wanted one does, and frontiers out of use."""
    wanted_jobs = {names.job_name(at.model, planning.cls.name, planning.revision) for planning in plannings}
    jobs = [seen.object for seen in at.observed.of_kind("Job") if _name(seen.object) not in wanted_jobs]
    classes = {names.label_value(planning.cls.name) for planning in plannings}
    jobs = [job for job in jobs if _class(job) in classes]
    return (*(_delete("Job", job) for job in jobs), *_frontiers(at, plannings))


def lost_classes(at: Situation, plannings: Sequence[Planning]) -> tuple[Delete, ...]:
    """All that belongs to node classes which there are no more; to be deleted once the others serve."""
    classes = {names.label_value(planning.cls.name) for planning in plannings}
    return tuple(
        _delete(kind, seen.object)
        for kind in ("Deployment", "Job", "ConfigMap", "RoleBinding", "Role", "ServiceAccount")
        for seen in at.observed.of_kind(kind)
        if _class(seen.object) not in (*classes, None)
    )


def unwanted(at: Situation, kinds: Sequence[str]) -> tuple[Delete, ...]:
    """The objects of kinds of which the model asks for none."""
    return tuple(_delete(kind, seen.object) for kind in kinds for seen in at.observed.of_kind(kind))


def _frontiers(at: Situation, plannings: Sequence[Planning]) -> list[Delete]:
    needed = {(names.label_value(planning.cls.name), planning.revision) for planning in plannings} | _in_use(
        at.observed
    )
    found = sorted(
        (seen.object for seen in at.observed.of_kind("ConfigMap", "frontier")),
        key=lambda frontier: (
            _class(frontier) or "",
            frontier["metadata"].get("creationTimestamp", ""),
            _name(frontier),
        ),
    )
    deleted: list[Delete] = []
    for cls, frontiers in groupby(found, key=_class):
        newest = [*frontiers][:-KEPT_FRONTIERS]
        deleted += [_delete("ConfigMap", frontier) for frontier in newest if (cls, _revision(frontier)) not in needed]
    return deleted


def _in_use(observed: Observed) -> set[tuple[str | None, str | None]]:
    """The classes and revisions that replicas are of, or would be if an older ReplicaSet were scaled up again."""
    return {
        (_class(seen.object), _revision(seen.object))
        for kind in ("Deployment", "ReplicaSet", "Pod")
        for seen in observed.of_kind(kind, "runtime")
        if kind != "ReplicaSet" or seen.object["spec"].get("replicas")
    }


def _class(thing: Object) -> str | None:
    return _label(thing, names.CLASS_LABEL)


def _revision(thing: Object) -> str | None:
    return _label(thing, names.REVISION_LABEL)


def _label(thing: Object, label: str) -> str | None:
    value = thing["metadata"].get("labels", {}).get(label)
    return None if value is None else str(value)


def _name(thing: Object) -> str:
    return str(thing["metadata"]["name"])


def _delete(kind: str, thing: Object) -> Delete:
    return Delete(kind, thing["metadata"]["name"], thing["metadata"]["uid"])
