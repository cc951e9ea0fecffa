"""The store: news counts, what is older does not, and what is gone stays gone."""

from typing import Any

import pytest

from chrion_operator.cluster.kinds import CONFIG_MAP, DEPLOYMENT, MODEL, POD
from chrion_operator.cluster.store import Store
from chrion_operator.cluster.trim import trim, trim_node
from chrion_operator.names import frontier_name, plan_name
from chrion_operator.reconcile import Key
from chrion_operator.reconcile.summary import summarise
from tests.support.objects import plan_file

KEY = Key("audio", "nsnet2")


def thing(version: int, uid: str = "u", name: str = "d", **more: Any) -> dict[str, Any]:
    labels = {"chrion.dev/model": "nsnet2", **more.pop("labels", {})}
    meta = {"name": name, "namespace": "audio", "uid": uid, "resourceVersion": str(version), "labels": labels}
    owners = [{"kind": "ChrionModel", "name": "nsnet2", "uid": "m"}]
    return {"metadata": {**meta, "ownerReferences": more.pop("owners", owners)}, **more}


def test_what_is_older_is_no_news() -> None:
    store = Store()
    assert store.put(DEPLOYMENT, thing(5, spec={"replicas": 2})) == KEY
    assert store.put(DEPLOYMENT, thing(4, spec={"replicas": 1})) is None
    assert store.put(DEPLOYMENT, thing(5, spec={"replicas": 1})) is None
    assert store.owned(KEY)["Deployment", "d"].object["spec"]["replicas"] == 2
    assert store.put(DEPLOYMENT, thing(6, spec={"replicas": 3})) == KEY


def test_an_answer_that_comes_late_brings_nothing_back() -> None:
    store = Store()
    store.put(DEPLOYMENT, thing(5))
    assert store.remove(DEPLOYMENT, thing(9)) == KEY
    assert store.put(DEPLOYMENT, thing(7)) is None
    assert not store.owned(KEY)
    assert store.put(DEPLOYMENT, thing(10, uid="other")) == KEY


def test_the_end_of_an_earlier_object_does_not_end_its_successor() -> None:
    store = Store()
    store.put(DEPLOYMENT, thing(5))
    store.put(DEPLOYMENT, thing(8, uid="other"))
    assert store.remove(DEPLOYMENT, thing(7)) is None
    assert store.owned(KEY)


def test_a_list_takes_away_what_it_lacks_but_not_what_came_after_it() -> None:
    store = Store()
    store.put(DEPLOYMENT, thing(5, uid="a", name="a"))
    store.put(DEPLOYMENT, thing(30, uid="b", name="b"))
    store.put(POD, thing(4, uid="p", name="p", spec={}))
    store.put(DEPLOYMENT, thing(6, uid="c", name="c"))
    assert store.keep(DEPLOYMENT, "", {(KEY, "c")}, 20) == {KEY}
    assert sorted(store.owned(KEY)) == [("Deployment", "b"), ("Deployment", "c"), ("Pod", "p")]


def test_a_list_of_one_namespace_leaves_the_others() -> None:
    store = Store()
    store.put(DEPLOYMENT, thing(5))
    assert store.keep(DEPLOYMENT, "elsewhere", set(), 20) == set()
    assert store.owned(KEY)


def test_models_come_and_go() -> None:
    store = Store()
    model = {"metadata": {"name": "nsnet2", "namespace": "audio", "uid": "m", "resourceVersion": "3"}, "spec": {}}
    assert store.put(MODEL, model) == KEY
    assert store.models() == (KEY,)
    assert store.remove(MODEL, model) == KEY
    assert store.model(KEY) is None


PLAN = {"labels": {"app.kubernetes.io/component": "plan"}, "name": "nsnet2-plan-cpu"}
WRITTEN = {"plan.json": plan_file().to_json()}


def test_plans_are_dropped_and_marked_until_somebody_read_them() -> None:
    store = Store()
    store.put(CONFIG_MAP, thing(1, **PLAN, data=WRITTEN))
    place = ("ConfigMap", "nsnet2-plan-cpu")
    seen = store.owned(KEY)[place]
    assert not seen.object["data"]
    assert seen.plan is not None
    assert seen.plan.unread
    store.put(CONFIG_MAP, thing(1, **PLAN, data=WRITTEN), plan=summarise(thing(1, **PLAN, data=WRITTEN)))
    assert store.owned(KEY)[place].plan == summarise(thing(1, **PLAN, data=WRITTEN))
    store.put(CONFIG_MAP, thing(2, **PLAN, data=WRITTEN))
    again = store.owned(KEY)[place].plan
    assert again is not None
    assert again.model == plan_file().model
    store.put(CONFIG_MAP, thing(3, **PLAN, data={"plan.json": "{}"}))
    spoilt = store.owned(KEY)[place].plan
    assert spoilt is not None
    assert spoilt.unread
    assert trim(CONFIG_MAP, thing(4, **PLAN)).plan is None


@pytest.mark.parametrize(
    "other",
    [
        {"owners": []},
        {"owners": [{"kind": "Deployment", "name": "nsnet2", "uid": "m"}]},
        {"owners": [{"kind": "ChrionModel", "name": "another", "uid": "m"}]},
        {"name": "nsnet2-frontier-cpu-0123456789"},
        {"name": "notes"},
        {"labels": {"app.kubernetes.io/component": "slo"}},
        {"labels": {}},
    ],
)
def test_a_configmap_that_is_no_plan_by_owner_and_name_is_not_looked_into(other: dict[str, Any]) -> None:
    seen = trim(CONFIG_MAP, thing(1, **{**PLAN, "data": WRITTEN, **other}))
    assert seen.plan is None
    assert "plan.json" not in seen.object.get("data", {})


def test_long_names_and_odd_ones_are_recognised() -> None:
    for model in ("nsnet2", "9.lives", "m" * 60, "A.b" * 40):
        for cls in ("cpu", "c" * 80, "nvidia-rtx-pro-6000-blackwell-server-edition-mig-1g-24gb-95g-mps-4-intel-6-143"):
            owners = [{"kind": "ChrionModel", "name": model, "uid": "m"}]
            for component, name in (
                ("plan", plan_name(model, cls)),
                ("frontier", frontier_name(model, cls, "0123456789")),
            ):
                labels = {"app.kubernetes.io/component": component}
                assert trim(CONFIG_MAP, thing(1, name=name, labels=labels, owners=owners, data=WRITTEN)).plan, name


def test_an_object_stays_settled_while_only_its_status_changes() -> None:
    store = Store()
    store.put(DEPLOYMENT, thing(5, spec={"replicas": 1}), settled="manifest")
    store.put(DEPLOYMENT, thing(6, spec={"replicas": 1}, status={"replicas": 1}))
    assert store.owned(KEY)["Deployment", "d"].settled == "manifest"
    store.put(DEPLOYMENT, thing(7, spec={"replicas": 2}))
    assert store.owned(KEY)["Deployment", "d"].settled is None


def test_a_nodes_heartbeat_is_no_news() -> None:
    store = Store()

    def node(heartbeat: str, gpus: str = "1") -> dict[str, Any]:
        conditions = [{"type": "Ready", "status": "True", "lastHeartbeatTime": heartbeat}]
        allocatable = {"nvidia.com/gpu": gpus, "memory": f"{heartbeat}Ki"}
        status = {"conditions": conditions, "images": [heartbeat], "allocatable": allocatable}
        return trim_node({"metadata": {"name": "n"}, "status": status})

    assert store.put_nodes([node("1")])
    assert not store.put_node(node("2"))
    assert store.put_node(node("3", gpus="2"))


def test_what_models_share_is_of_none_of_them() -> None:
    store = Store()
    shared = thing(5, name="chrion-figures-cpu")
    del shared["metadata"]["labels"]["chrion.dev/model"]
    for owner in shared["metadata"]["ownerReferences"]:
        owner["controller"] = False
    assert store.put(CONFIG_MAP, shared) is None
    assert not store.owned(KEY)
