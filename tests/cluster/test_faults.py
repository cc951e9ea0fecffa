"""Operators that are killed, doubled or cut off from the API server: the end is the same."""

import random
import time
from collections.abc import Callable

import pytest

from chrion_operator.cluster.api import Api
from chrion_operator.cluster.errors import ApiGone
from chrion_operator.cluster.kinds import CONFIG_MAP
from tests.support.chrionmodels import Model
from tests.support.cluster import Cluster
from tests.support.operator import OperatorProcess
from tests.support.planner_job import PLAN, PLAN_MODEL
from tests.support.waiting import wait_until

StartOperator = Callable[..., OperatorProcess]
LEASE = "chrion-operator"


@pytest.fixture
def model(control_plane: Cluster, namespace: str) -> Model:
    return Model(control_plane, namespace)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [10, pytest.param(50, marks=pytest.mark.slow)])
def test_an_operator_killed_at_any_moment_leads_to_the_same_end(
    control_plane: Cluster, make_namespace: Callable[[], str], start_operator: StartOperator, model: Model, kills: int
) -> None:
    undisturbed = Model(control_plane, make_namespace())
    for one in (model, undisturbed):
        one.apply(slo={"latency": "1ms"})
    chance = random.Random(kills)
    for number in range(kills):
        # Its predecessor's lease would make it wait.
        control_plane.delete("Lease", LEASE, model.namespace)
        operator = start_operator()
        # A model of its own each time: to go back to one whose plans are still there needs no Job.
        model.apply(slo={"latency": f"{number + 2}ms"}, model={"uri": f"https://models.example/{number}.onnx"})
        if number % 2:
            model.hand_in(PLAN.replace(PLAN_MODEL, f"{number % 3}" * 64))
        time.sleep(chance.uniform(0, 0.3))
        operator.kill()
    last = {"model": {"uri": "https://models.example/last.onnx"}, "slo": {"latency": "20ms"}}
    control_plane.delete("Lease", LEASE, model.namespace)
    operator = start_operator(CHRION_NAMESPACES=f"{model.namespace},{undisturbed.namespace}")
    for one in (model, undisturbed):
        one.apply(**last)
        one.hand_in()
        one.wait_for("Planned", "True", "Succeeded")
    for one in (model, undisturbed):
        wait_until(lambda one=one: one.owned("Deployment"), "the Deployment")
        one.wait_for("Serving", "False", "Unschedulable")
    assert _comparable(model) == _comparable(undisturbed)
    assert "Traceback" not in operator.words()


def test_two_operators_at_once_do_no_harm(
    make_namespace: Callable[[], str], start_operator: StartOperator, model: Model
) -> None:
    # With a Lease each, both believe that they lead.
    operators = [start_operator(), start_operator(CHRION_OPERATOR_NAMESPACE=make_namespace())]
    assert all(operator.health()["leading"] for operator in operators)
    model.apply()
    model.hand_in()
    model.wait_for("Planned", "True", "Succeeded")
    model.apply(model={"uri": "https://models.example/b.onnx"}, runtime={"replicas": 2})
    model.hand_in(PLAN.replace(PLAN_MODEL, "c" * 64))
    model.wait_for("Planned", "True", "Succeeded")
    wait_until(lambda: model.deployment()["spec"]["replicas"] == 2, "two replicas")
    assert "c" * 64 in str(model.deployment()["spec"]["template"])
    assert len(model.owned("Job")) == 1
    model.delete()
    wait_until(lambda: not model.owned("ConfigMap"), "nothing being left")
    assert not any("Traceback" in operator.words() for operator in operators)


def test_a_standby_takes_over_from_a_leader_that_was_killed(start_operator: StartOperator, model: Model) -> None:
    leader = start_operator()
    standby = start_operator(standby=True)
    assert standby.health()["leading"] is False
    leader.kill()
    model.apply()
    model.planner.wait()
    assert standby.health()["leading"] is True


def test_a_leader_that_is_told_to_end_gives_its_lease_back(
    control_plane: Cluster, start_operator: StartOperator, model: Model
) -> None:
    leader = start_operator()
    assert leader.terminate() == 0
    lease = control_plane.get("Lease", LEASE, model.namespace)
    assert lease is not None
    assert not lease["spec"].get("holderIdentity")


def test_an_api_server_that_is_restarted_is_watched_on(
    control_plane: Cluster, start_operator: StartOperator, model: Model
) -> None:
    operator = start_operator()
    model.apply()
    model.hand_in()
    model.wait_for("Planned", "True")
    control_plane.restart_api_server()
    # What its watch cache no longer holds is not to be had.
    with pytest.raises(ApiGone):
        for _ in Api(control_plane.api_client).watch(CONFIG_MAP, model.namespace, "", "1", 10):
            pass
    model.apply(runtime={"replicas": 2})
    wait_until(lambda: model.deployment()["spec"]["replicas"] == 2, "the new spec")
    name = model.deployment()["metadata"]["name"]
    control_plane.patch("Deployment", name, model.namespace, {"spec": {"replicas": 7}})
    wait_until(lambda: model.deployment()["spec"]["replicas"] == 2, "the repair")
    assert operator.running


def _comparable(model: Model) -> object:
    """What there is of a model, without earlier frontiers, namespaces and the names of pods."""
    state = model.state()
    wanted = model.owned("Job")[0]["metadata"]["labels"]["chrion.dev/revision"]
    frontiers = {name for name in state["ConfigMap"] if "-frontier-" in name and not name.endswith(wanted)}
    state["ConfigMap"] = {name: one for name, one in state["ConfigMap"].items() if name not in frontiers}
    state["conditions"] = {name: said[:2] for name, said in state["conditions"].items()}
    return state
