"""Writing on a real API server: what is the model's own follows its manifest, and what is others' is not touched."""

from typing import Any

import pytest

from chrion_operator.cluster.api import Api
from chrion_operator.cluster.errors import ApiConflict
from chrion_operator.cluster.kinds import CONFIG_MAP, DEPLOYMENT
from chrion_operator.cluster.writer import patch, write
from chrion_operator.errors import LeftOver, NotOurs
from chrion_operator.names import Object, owner_reference
from chrion_operator.reconcile.observed import Patch
from tests.support.chrionmodels import Model
from tests.support.cluster import Cluster
from tests.support.waiting import wait_until


@pytest.fixture
def model(control_plane: Cluster, namespace: str) -> Model:
    made = Model(control_plane, namespace)
    made.apply()
    return made


@pytest.fixture
def api(control_plane: Cluster) -> Api:
    return Api(control_plane.api_client)


def configmap(model: Model, owner: Object | None, **data: str) -> Object:
    meta: Object = {"name": "nsnet2-slo", "namespace": model.namespace, "labels": {"ours": "yes"}}
    if owner is not None:
        meta["ownerReferences"] = [owner_reference(owner)]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def deployment(model: Model, owner: Object, env: dict[str, str], selector: dict[str, str]) -> Object:
    labels = {"app": "x"}
    container: dict[str, Any] = {"name": "serve", "image": "none"}
    container["env"] = [{"name": name, "value": value} for name, value in env.items()]
    pod = {"metadata": {"labels": labels}, "spec": {"nodeSelector": selector, "containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": model.namespace, "ownerReferences": [owner_reference(owner)]},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod},
    }


@pytest.mark.parametrize("known", [True, False])
def test_fields_that_are_wanted_no_more_go(api: Api, model: Model, known: bool) -> None:
    owner = model.read()
    write(api, deployment(model, owner, {"A": "1", "B": "2"}, {"a": "1", "b": "2"}), owner, known=False)
    for env, selector in (({"B": "3"}, {"b": "3"}), ({"C": "4"}, {"c": "4"})):
        wanted = deployment(model, owner, env, selector)
        # Its status moves meanwhile: the controller looks again then, as we do.
        made = wait_until(
            lambda wanted=wanted: write(api, wanted, owner, known=known), "the change", ignore=ApiConflict
        )
        pod = made["spec"]["template"]["spec"]
        assert {one["name"]: one["value"] for one in pod["containers"][0]["env"]} == env
        assert pod["nodeSelector"] == selector


def test_what_others_set_stays(api: Api, model: Model) -> None:
    owner = model.read()
    write(api, configmap(model, owner, a="1"), owner, known=False)
    model.cluster.patch("ConfigMap", "nsnet2-slo", model.namespace, {"data": {"theirs": "x"}})
    assert write(api, configmap(model, owner, b="2"), owner, known=True)["data"] == {"theirs": "x", "b": "2"}


@pytest.mark.parametrize("known", [True, False])
def test_somebody_elses_is_not_touched(api: Api, model: Model, known: bool) -> None:
    owner = model.read()
    before = model.cluster.apply(configmap(model, None, theirs="x"))
    with pytest.raises(NotOurs):
        write(api, configmap(model, owner, a="1"), owner, known=known)
    assert api.get(CONFIG_MAP, model.namespace, "nsnet2-slo") == before


def test_the_garbage_of_an_earlier_model_is_waited_for(api: Api, model: Model) -> None:
    owner = model.read()
    earlier = {**owner, "metadata": {**owner["metadata"], "uid": "00000000-0000-0000-0000-000000000001"}}
    made = configmap(model, earlier, a="1")
    made["metadata"]["finalizers"] = ["example.com/wait"]  # or the server would be faster than we
    model.cluster.apply(made)
    with pytest.raises(LeftOver):
        write(api, configmap(model, owner, a="1"), owner, known=False)
    model.cluster.patch("ConfigMap", "nsnet2-slo", model.namespace, {"metadata": {"finalizers": None}})


def test_a_patch_is_for_the_object_that_was_seen(api: Api, model: Model) -> None:
    owner = model.read()
    made = write(api, deployment(model, owner, {}, {}), owner, known=False)
    scale: Object = {"spec": {"replicas": 0, "minReadySeconds": 3}}
    seen = Patch("Deployment", "d", made["metadata"]["uid"], scale)
    assert patch(api, DEPLOYMENT, model.namespace, seen)["spec"]["minReadySeconds"] == 3
    other = Patch("Deployment", "d", "00000000-0000-0000-0000-000000000001", {"spec": {"replicas": 9}})
    with pytest.raises(ApiConflict):
        patch(api, DEPLOYMENT, model.namespace, other)
    assert api.get(DEPLOYMENT, model.namespace, "d")["spec"]["replicas"] == 0


def test_an_apply_is_for_the_object_that_was_looked_at(api: Api, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = model.read()
    write(api, configmap(model, owner, a="1"), owner, known=False)
    looked = api.get(CONFIG_MAP, model.namespace, "nsnet2-slo")
    model.cluster.delete("ConfigMap", "nsnet2-slo", model.namespace)
    theirs = model.cluster.apply(configmap(model, None, theirs="x"))
    monkeypatch.setattr(api, "get", lambda *_: looked)
    with pytest.raises(ApiConflict):
        write(api, configmap(model, owner, a="1"), owner, known=True)
    monkeypatch.undo()
    assert api.get(CONFIG_MAP, model.namespace, "nsnet2-slo") == theirs
