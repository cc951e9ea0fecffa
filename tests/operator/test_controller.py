"""The controller on a small API server: it writes what is its own alone, and no model holds up the others."""

import copy
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import REGISTRY

from chrion_operator.cluster.api import Api
from chrion_operator.cluster.errors import ApiConflict, ApiError
from chrion_operator.cluster.kinds import CONFIG_MAP, JOB, MODEL, kind_of
from chrion_operator.controller import Controller
from chrion_operator.manifests import Server
from chrion_operator.reconcile import Key, SeenObject
from chrion_operator.settings import Settings
from tests.support.objects import plan_file
from tests.support.small_server import Object, SmallServer, path_of
from tests.support.waiting import wait_until

KEY = Key("audio", "nsnet2")
UID = "00000000-0000-0000-0000-000000000001"


def chrion_model(name: str = "nsnet2", namespace: str = "audio", **spec: Any) -> Object:
    return {
        "apiVersion": "chrion.dev/v1alpha1",
        "kind": "ChrionModel",
        "metadata": {"name": name, "namespace": namespace, "uid": UID, "generation": 1},
        "spec": {"model": {"uri": "https://models.example/nsnet2.onnx"}, **spec},
    }


class Place:
    """A server, a controller, and one model that it knows."""

    def __init__(self, api: Api, server: SmallServer) -> None:
        self.api, self.server = api, server
        self.controller = Controller(api, Settings(read_nodes=False), Server(minor=33), "test")

    def model(self, **fields: Any) -> Object:
        made = self.server.add(chrion_model(**fields))
        self.controller.store.put(MODEL, copy.deepcopy(made))
        return made

    def look(self) -> bool:
        return self.controller.reconcile(KEY)

    def condition(self, kind: str) -> Object:
        conditions = self.server.objects[path_of(chrion_model())]["status"]["conditions"]
        (found,) = (one for one in conditions if one["type"] == kind)
        return dict(found)

    def forget(self) -> None:
        """A new controller, which knows the model alone."""
        self.controller = Controller(self.api, Settings(read_nodes=False), Server(minor=33), "test")
        self.controller.store.put(MODEL, copy.deepcopy(self.server.objects[path_of(chrion_model())]))


@pytest.fixture
def place() -> Iterator[Place]:
    server = SmallServer()
    with server.running() as api:
        yield Place(api, server)


MADE = (
    "ConfigMap/nsnet2-slo",
    "ConfigMap/nsnet2-plan-gpu",
    "ConfigMap/chrion-figures-gpu",
    "Service",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "Job",
)
"""What a model without a plan consists of."""


def _made(place: Place, which: str) -> Object:
    """The object that the controller makes, which is then no more."""
    place.model(runtime={"maxUnavailable": 1})
    assert place.look()
    kind, _, name = which.partition("/")
    (found,) = (
        thing
        for thing in place.server.objects.values()
        if thing["kind"] == kind and (not name or thing["metadata"]["name"].startswith(name))
    )
    for path in [path for path in place.server.objects if path != path_of(chrion_model())]:
        del place.server.objects[path]
    place.forget()
    return found


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("which", [*MADE, "PodDisruptionBudget"])
def test_an_object_of_somebody_else_is_neither_changed_nor_owned(place: Place, which: str, labelled: bool) -> None:
    made = _made(place, which)
    metadata = {"name": made["metadata"]["name"], "namespace": "audio"}
    if labelled:
        metadata |= {"labels": made["metadata"]["labels"], "annotations": made["metadata"].get("annotations", {})}
    theirs = place.server.add({"apiVersion": made["apiVersion"], "kind": made["kind"], "metadata": metadata, "a": 1})
    if labelled:  # a watch tells of it
        place.controller.store.put(kind_of(theirs), {**copy.deepcopy(theirs), "spec": {}})
    before = copy.deepcopy(theirs)
    assert not place.look()
    assert place.server.objects[path_of(theirs)] == before
    stalled = place.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "NotOurs")
    assert stalled["message"].startswith(f"{made['kind']} {metadata['name']}: ")
    assert "delete it" in stalled["message"]
    del place.server.objects[path_of(theirs)]
    place.controller.store.remove(kind_of(theirs), theirs)
    assert place.look()
    assert place.condition("Stalled")["status"] == "False"
    assert path_of(theirs) in place.server.objects


def test_models_share_figures_that_are_never_written_over(place: Place) -> None:
    place.model()
    assert place.look()
    path = CONFIG_MAP.path("audio", "chrion-figures-gpu")
    place.server.objects[path]["binaryData"] = {"a": "Yg=="}
    other = chrion_model("silero")
    other["metadata"]["uid"] = "other"
    place.controller.store.put(MODEL, copy.deepcopy(place.server.add(other)))
    assert place.controller.reconcile(Key("audio", "silero"))
    shared = place.server.objects[path]
    assert [owner["name"] for owner in shared["metadata"]["ownerReferences"]] == ["nsnet2", "silero"]
    assert shared["binaryData"] == {"a": "Yg=="}
    for job in place.server.of_kind("Job"):
        place.controller.store.remove(JOB, place.server.objects.pop(path_of(job)))
    version = shared["metadata"]["resourceVersion"]
    assert place.look()
    assert shared["metadata"]["resourceVersion"] == version, "who owns it already adds nothing"


@pytest.mark.parametrize("change", [{"controller": True}, {"kind": "Deployment"}, {"apiVersion": "apps/v1"}])
def test_figures_that_others_own_are_left_alone(place: Place, change: Object) -> None:
    shared = _made(place, "ConfigMap/chrion-figures-gpu")
    shared["metadata"]["ownerReferences"][0] |= {"uid": "other", **change}
    before = copy.deepcopy(place.server.add(shared))
    assert not place.look()
    assert place.server.objects[path_of(shared)] == before
    assert place.condition("Stalled")["reason"] == "NotOurs"
    assert not place.server.of_kind("Job")


def test_figures_that_go_are_waited_for(place: Place) -> None:
    shared = _made(place, "ConfigMap/chrion-figures-gpu")
    shared["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    place.server.add(shared)
    assert not place.look()
    assert not place.server.of_kind("Job")
    del place.server.objects[path_of(shared)]
    assert place.look()
    assert place.server.of_kind("Job")


def test_no_job_runs_with_an_account_of_somebody_else(place: Place) -> None:
    account = _made(place, "ServiceAccount")
    place.server.add({**account, "metadata": {"name": account["metadata"]["name"], "namespace": "audio"}})
    assert not place.look()
    assert not place.server.of_kind("Job")


def test_an_object_that_comes_between_the_look_and_the_write_is_left_alone(place: Place) -> None:
    place.model()
    theirs: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "nsnet2-slo", "namespace": "audio"},
        "data": {"theirs": "x"},
    }
    place.server.before_write = [lambda: place.server.add(theirs)]
    assert not place.look()
    assert place.condition("Stalled")["reason"] == "NotOurs"
    assert place.server.objects[path_of(theirs)]["data"] == {"theirs": "x"}


def test_an_object_that_was_swapped_for_somebody_elses_is_left_alone(place: Place) -> None:
    place.model()
    assert place.look()
    name = {"name": "nsnet2-slo", "namespace": "audio"}
    theirs = place.server.add({"apiVersion": "v1", "kind": "ConfigMap", "metadata": name, "data": {"a": "b"}})
    before = copy.deepcopy(theirs)
    model = place.server.objects[path_of(chrion_model())]
    model["spec"]["slo"] = {"latency": "7ms"}
    place.controller.store.put(MODEL, copy.deepcopy(place.server.add(model)))
    assert not place.look()
    assert place.server.objects[path_of(theirs)] == before
    assert place.condition("Stalled")["reason"] == "NotOurs"


def test_what_an_earlier_model_of_the_name_left_is_waited_for(place: Place) -> None:
    service = _made(place, "Service")
    service["metadata"]["ownerReferences"][0]["uid"] = "earlier"
    left = place.server.add(service)
    place.controller.store.put(kind_of(left), copy.deepcopy(left))
    before = copy.deepcopy(left)
    assert not place.look()
    assert place.server.objects[path_of(left)] == before
    assert place.condition("Stalled")["status"] == "False"
    reconciling = place.condition("Reconciling")
    assert (reconciling["status"], reconciling["reason"]) == ("True", "LeftOver")
    del place.server.objects[path_of(left)]
    place.controller.store.remove(kind_of(left), left)
    assert place.look()


NAMES = (
    "../../victim/configmaps/plan",
    "../../../../../version",
    "?watch=1&fieldSelector=metadata.name%3Dx",
    "x?labelSelector=a",
    "x#y",
    "%2e%2e%2fx",
    "..",
    ".",
    "a b",
    "A",
    "x" * 254,
    "x/status",
    "",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_of_another_namespace_is_not_to_be_had(place: Place, name: str) -> None:
    data = {"plan.json": plan_file().to_json()}
    victim = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "plan", "namespace": "victim"},
        "data": data,
    }
    place.server.add(victim)
    place.model(planRef={"name": name})
    place.look()
    assert all("configmaps" not in path for method, path in place.server.requests if method == "GET")
    stalled = place.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "InvalidSpec")
    assert "spec.planRef.name" in stalled["message"]
    assert not place.server.of_kind("Deployment")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("", ".", "..")])
def test_a_name_is_one_part_of_a_path(place: Place, name: str) -> None:
    with pytest.raises(ApiError):
        place.api.get(CONFIG_MAP, "mine", name)
    ((_, path),) = place.server.requests
    assert path.startswith("/api/v1/namespaces/mine/configmaps/")
    assert path.count("/") == 6
    assert not {"?", "#"} & set(path)


def test_names_that_lead_up_are_asked_for_by_nobody(place: Place) -> None:
    for name in (".", ".."):
        with pytest.raises(ValueError, match="not the name of an object"):
            place.api.get(CONFIG_MAP, "mine", name)
    assert not place.server.requests


def test_a_worker_goes_on_whatever_it_meets(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where what it does about a conflict fails in turn."""
    met: list[str] = []
    unmoved = place.controller.reconcile

    def reconcile(key: Key) -> bool:
        met.append(key.label)
        match key.label:
            case "rubbish":
                raise RecursionError("maximum recursion depth exceeded")
            case "conflict":
                raise ApiConflict("somebody was faster", 409)
        return unmoved(key)

    def refresh(_: Key) -> bool:
        raise ApiError("forbidden", 403)

    monkeypatch.setattr(place.controller, "reconcile", reconcile)
    monkeypatch.setattr(place.controller, "_refresh", refresh)
    before = _faults()
    for label in ("rubbish", "conflict"):
        place.controller.queue.add(Key("evil", label))
    worker = threading.Thread(target=place.controller.work, args=(lambda _: True,))
    worker.start()
    wait_until(lambda: met.count("rubbish") > 1 and met.count("conflict") > 1, "another try of each")
    place.controller.queue.add(KEY)
    wait_until(lambda: "nsnet2" in met, "the look at another model")
    assert worker.is_alive()
    assert _faults() - before >= 4
    place.controller.queue.close()
    worker.join(60)


def _faults() -> float:
    return REGISTRY.get_sample_value("chrion_operator_faults_total", {"where": "worker"}) or 0.0


def test_one_model_is_served_while_hundreds_of_another_namespace_queue(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[Key] = []
    monkeypatch.setattr(place.controller, "reconcile", lambda key: looked_at.append(key) is None)
    many = [Key("many", f"model-{number}") for number in range(500)]
    for key in [*many, KEY]:
        place.controller.queue.add(key)
    workers = [threading.Thread(target=place.controller.work, args=(lambda _: True,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    wait_until(lambda: len(looked_at) == 501, "a look at all")
    place.controller.queue.close()
    for worker in workers:
        worker.join(60)
    assert looked_at.index(KEY) < 10


def test_who_holds_gpus_is_listed_once_whatever_resources_specs_name(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists: list[Any] = []
    monkeypatch.setattr(place.api, "list", lambda *_, **__: lists.append(1) or iter(()))
    message = "0/1 nodes are available: Insufficient"
    for number in range(20):
        resource = f"a.example/gpu-{number}"
        condition = {"type": "PodScheduled", "status": "False", "message": f"{message} {resource}"}
        waiting = {("Pod", "p"): SeenObject({"metadata": {"name": "p"}, "status": {"conditions": [condition]}})}
        assert place.controller._who_holds(waiting, resource) == ()
    assert len(lists) == 1
