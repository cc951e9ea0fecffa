"""The store: news counts, what is older does not, and what is gone stays gone."""

from typing import Any

from chrion_operator.cluster.kinds import CONFIG_MAP, DEPLOYMENT, MODEL, POD
from chrion_operator.cluster.store import Store
from chrion_operator.cluster.trim import trim, trim_node
from chrion_operator.reconcile import Key
from tests.support.objects import plan_file

KEY = Key("audio", "nsnet2")


def thing(version: int, uid: str = "u", name: str = "d", **more: Any) -> dict[str, Any]:
    labels = {"chrion.dev/model": "nsnet2", **more.pop("labels", {})}
    meta = {"name": name, "namespace": "audio", "uid": uid, "resourceVersion": str(version), "labels": labels}
    return {"metadata": meta, **more}


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
    assert store.replace(DEPLOYMENT, "", [thing(6, uid="c", name="c")], 20) == {KEY}
    assert sorted(store.owned(KEY)) == [("Deployment", "b"), ("Deployment", "c"), ("Pod", "p")]


def test_a_list_of_one_namespace_leaves_the_others() -> None:
    store = Store()
    store.put(DEPLOYMENT, thing(5))
    assert store.replace(DEPLOYMENT, "elsewhere", [], 20) == set()
    assert store.owned(KEY)


def test_models_come_and_go() -> None:
    store = Store()
    model = {"metadata": {"name": "nsnet2", "namespace": "audio", "uid": "m", "resourceVersion": "3"}, "spec": {}}
    assert store.put(MODEL, model) == KEY
    assert store.models() == (KEY,)
    assert store.remove(MODEL, model) == KEY
    assert store.model(KEY) is None


def test_plans_are_summed_up_and_dropped() -> None:
    labels = {"chrion.dev/model": "nsnet2", "app.kubernetes.io/component": "plan"}
    seen = trim(CONFIG_MAP, thing(1, labels=labels, data={"plan.json": plan_file().to_json()}))
    assert "data" not in seen.object
    assert seen.plan is not None
    assert seen.plan.model == plan_file().model
    spoilt = trim(CONFIG_MAP, thing(2, labels=labels, data={"plan.json": "{}"}), seen)
    assert spoilt.plan is not None
    assert "plan.json" in spoilt.plan.problem
    assert trim(CONFIG_MAP, thing(3, labels=labels)).plan is None


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
