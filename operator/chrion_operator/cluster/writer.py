"""Writes one object: creates it, or changes it where it is the model's own or shared by it; never anybody else's."""

from typing import Any

from chrion_operator.cluster.api import Api
from chrion_operator.cluster.errors import ApiConflict, ApiError, ApiNotFound
from chrion_operator.cluster.kinds import JOB, Kind, kind_of
from chrion_operator.errors import LeftOver, NotOurs
from chrion_operator.names import FIELD_MANAGER, Object
from chrion_operator.reconcile.observed import Patch
from chrion_operator.reconcile.ownership import is_left_over, is_owned, is_shared


def write(api: Api, manifest: Object, model: Object, *, known: bool) -> Object:
    """Create an object, or have it hold what the manifest says; returns it as it is then.

    `known` says that it is there and the model's own, as far as was seen. It is looked at again all the same: what is
    created fails where there is something of this name, and what is changed must be the very object that was looked at.
    Raises NotOurs, LeftOver, and ApiError: ApiConflict where it changed hands meanwhile.
    """
    kind, metadata = kind_of(manifest), manifest["metadata"]
    there = _get(api, kind, manifest) if known else None
    if there is None:
        try:
            return api.create(manifest)
        except ApiConflict:
            there = api.get(kind, metadata["namespace"], metadata["name"])
    _check(there, model)
    if kind is JOB:  # its template cannot be changed
        return there
    _take_over_fields(api, kind, there)
    uid = there["metadata"]["uid"]
    with_uid = {**manifest, "metadata": {**metadata, "uid": uid}}
    try:
        return api.apply(with_uid, force=True)
    except ApiError as error:
        raise _if_other(error) from None


def share(api: Api, manifest: Object) -> None:
    """Create an object that several models own, or add the manifest's owner to those of the one that is there.

    Raises NotOurs, LeftOver, and ApiError: ApiConflict where somebody else does the same meanwhile.
    """
    kind, metadata = kind_of(manifest), manifest["metadata"]
    there = _get(api, kind, manifest)
    if there is None:
        api.create(manifest)
        return
    if not is_shared(there):
        raise NotOurs("an object of this name exists that ChrionModels cannot share; delete it")
    if "deletionTimestamp" in there["metadata"]:
        raise LeftOver("the previous object is still being deleted")
    owners, (mine,) = there["metadata"]["ownerReferences"], metadata["ownerReferences"]
    if all(owner["uid"] != mine["uid"] for owner in owners):
        version = there["metadata"]["resourceVersion"]
        added = {"metadata": {"resourceVersion": version, "ownerReferences": [*owners, mine]}}
        api.patch(kind, metadata["namespace"], metadata["name"], added)


def patch(api: Api, kind: Kind, namespace: str, change: Patch) -> Object:
    """Merge a change into the very object that was seen.

    Raises ApiNotFound, and ApiConflict where another has its name.
    """
    metadata = {**change.body.get("metadata", {}), "uid": change.uid}
    try:
        return api.patch(kind, namespace, change.name, {**change.body, "metadata": metadata})
    except ApiError as error:
        raise _if_other(error) from None


def _get(api: Api, kind: Kind, manifest: Object) -> Object | None:
    try:
        return api.get(kind, manifest["metadata"]["namespace"], manifest["metadata"]["name"])
    except ApiNotFound:
        return None


def _check(there: Object, model: Object) -> None:
    if is_left_over(there, model):
        raise LeftOver("the object of an earlier ChrionModel of this name is still being deleted")
    if not is_owned(there, model["metadata"]["uid"]):
        raise NotOurs("it belongs to someone else; delete it, or give the ChrionModel another name")
    if "deletionTimestamp" in there["metadata"]:
        raise LeftOver("the previous object is still being deleted")


def _take_over_fields(api: Api, kind: Kind, there: Object) -> None:
    """Have the fields that creating set count as applied: then those that a later manifest lacks are taken away.

    As `csaupgrade` of client-go does it.
    """
    managers: list[Any] = there["metadata"].get("managedFields") or []
    mine = [one for one in managers if one.get("manager") == FIELD_MANAGER and not one.get("subresource")]
    if any(one.get("operation") == "Apply" for one in mine):
        return
    fields = [{**one, "operation": "Apply"} if one in mine else one for one in managers]
    if fields != managers:
        metadata = {"resourceVersion": there["metadata"]["resourceVersion"], "managedFields": fields}
        api.patch(kind, there["metadata"]["namespace"], there["metadata"]["name"], {"metadata": metadata})


def _if_other(error: ApiError) -> ApiError:
    """ApiConflict for the refusal of a uid, which cannot be changed; any other error as it is."""
    return ApiConflict(str(error), error.code) if error.code == 422 and "metadata.uid" in str(error) else error
