"""Ownership: which of the objects that bear a model's name or labels are its own."""

from collections.abc import Mapping

from chrion_api.chrionmodel import GROUP, KIND
from chrion_operator.names import Object, model_name
from chrion_operator.reconcile.observed import SeenObject

_MADE_BY_OTHERS = ("ReplicaSet", "Pod")
"""The kinds that the server makes of a model's objects, each owned by one of the kind before, or of ours."""


def controller_of(thing: Object) -> Object | None:
    """The owner reference of the one that controls an object, as `metav1.GetControllerOf` has it."""
    owners = thing["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller") is True), None)


def is_owned(thing: Object, uid: str) -> bool:
    """Whether an object is controlled by the one with this uid; whatever its name and labels say."""
    owner = controller_of(thing)
    return owner is not None and owner.get("uid") == uid


def is_shared(thing: Object) -> bool:
    """Whether ChrionModels own an object, and nobody controls it."""
    owners = thing["metadata"].get("ownerReferences") or ()
    return controller_of(thing) is None and any(
        str(owner.get("apiVersion", "")).startswith(f"{GROUP}/") and owner.get("kind") == KIND for owner in owners
    )


def is_left_over(thing: Object, model: Object) -> bool:
    """Whether an object is of an earlier ChrionModel of the same name, so that the server will delete it."""
    owner = controller_of(thing)
    return (
        owner is not None
        and str(owner.get("apiVersion", "")).startswith(f"{GROUP}/")
        and (owner.get("kind"), owner.get("name")) == (KIND, model_name(model))
        and owner.get("uid") != model["metadata"]["uid"]
    )


def ours(objects: Mapping[tuple[str, str], SeenObject], uid: str) -> dict[tuple[str, str], SeenObject]:
    """Of objects by kind and name those that the ChrionModel with this uid owns, and what was made of them."""
    mine = {
        place: seen for place, seen in objects.items() if place[0] not in _MADE_BY_OTHERS and is_owned(seen.object, uid)
    }
    for kind in _MADE_BY_OTHERS:
        owners = {seen.object["metadata"]["uid"] for seen in mine.values()}
        for place, seen in objects.items():
            owner = controller_of(seen.object) if place[0] == kind else None
            if owner is not None and owner.get("uid") in owners:
                mine[place] = seen
    return mine
