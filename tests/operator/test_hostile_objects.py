"""Objects that a tenant writes by the operator's labels and names: taken in, and followed by nobody."""

import copy
from typing import Any

import pytest

from chrion_operator.cluster.api import Api
from chrion_operator.cluster.kinds import MODEL as CHRION_MODEL
from chrion_operator.cluster.kinds import kind_of
from chrion_operator.controller import Controller
from chrion_operator.manifests import Server
from chrion_operator.reconcile import Key
from chrion_operator.reconcile.summary import summarise
from chrion_operator.settings import Settings
from tests.support.hostile.objects import MODEL, configmaps, strangers
from tests.support.small_server import SmallServer, path_of

UID = "00000000-0000-0000-0000-000000000001"
NAMED: dict[str, Any] = {f"{one['kind']} {one['metadata']['name']}": one for one in (*configmaps(UID), *strangers())}


@pytest.mark.parametrize("manifest", list(configmaps(UID)), ids=lambda manifest: str(manifest["metadata"]["name"]))
def test_no_plan_of_theirs_is_served(manifest: dict[str, Any]) -> None:
    summary = summarise(copy.deepcopy(manifest))
    assert summary is not None
    assert summary.problem
    assert len(summary.problem) < 2000
    assert "\n" not in summary.problem


def test_all_are_taken_in_and_left_alone_while_their_model_is_reconciled() -> None:
    server = SmallServer()
    spec = {"model": {"uri": "https://models.example/a.onnx"}}
    metadata = {"name": MODEL, "namespace": "evil", "uid": UID, "generation": 1}
    model = server.add({"apiVersion": "chrion.dev/v1alpha1", "kind": "ChrionModel", "metadata": metadata, "spec": spec})
    with server.running() as api:
        controller = _controller(api)
        controller.happened(CHRION_MODEL, "ADDED", copy.deepcopy(model))
        added = [
            server.add({**one, "metadata": {**one["metadata"], "namespace": "evil"}, "status": {}})
            for one in NAMED.values()
        ]
        for thing in added:
            controller.happened(kind_of(thing), "ADDED", copy.deepcopy(thing))
        before = copy.deepcopy([thing for thing in added if not thing["metadata"].get("ownerReferences")])
        assert controller.reconcile(Key("evil", MODEL))
        after = [server.objects[path_of(thing)] for thing in before]
    assert after == before
    assert [*controller.targets()] == []
    assert len(server.of_kind("Job")) == 1 + sum(one["kind"] == "Job" for one in NAMED.values())


def _controller(api: Api) -> Controller:
    return Controller(api, Settings(read_nodes=False), Server(minor=33), "test")
