"""The operator at work on a real API server, with the planner and the kubelet played."""

import json
from collections.abc import Callable

import pytest

from tests.support.chrionmodels import OWNED, Model
from tests.support.cluster import Cluster, Object
from tests.support.operator import OperatorProcess
from tests.support.planner_job import PLAN, PLAN_MODEL, now
from tests.support.waiting import wait_until

StartOperator = Callable[..., OperatorProcess]


@pytest.fixture
def model(control_plane: Cluster, namespace: str) -> Model:
    return Model(control_plane, namespace)


@pytest.fixture
def operator(start_operator: StartOperator) -> OperatorProcess:
    return start_operator()


def planned(model: Model, **spec: object) -> Model:
    """A model with a plan and a Deployment."""
    model.apply(**spec)
    model.hand_in()
    model.wait_for("Planned", "True")
    return model


def writes(operator: OperatorProcess) -> list[str]:
    return [line for line in operator.metrics().splitlines() if line.startswith("chrion_operator_writes_total")]


def reconciles(operator: OperatorProcess) -> float:
    lines = operator.metrics().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("chrion_operator_reconciles_total"))


def test_from_the_first_look_to_nothing_left(operator: OperatorProcess, model: Model) -> None:
    model.apply(runtime={"replicas": 2}, slo={"latency": "20ms"})
    model.wait_for("Ready", "False")
    assert model.read()["status"]["url"] == f"http://nsnet2.{model.namespace}.svc"
    model.hand_in()
    model.wait_for("Planned", "True", "Succeeded")
    assert model.read()["status"]["model"]["sha256"] == PLAN_MODEL
    assert model.deployment()["spec"]["replicas"] == 2
    wait_until(lambda: len(model.owned("Pod", "runtime")) == 2, "two replicas")
    model.serve()
    model.wait_for("Ready", "True", "Succeeded")
    model.wait_for("Serving", "True", "Succeeded")
    model.wait_for("Reconciling", "False", "Succeeded")
    slo = model.owned("ConfigMap", "slo")[0]["metadata"]["annotations"]["chrion.dev/slo"]
    pods = model.owned("Pod", "runtime")
    assert {pod["metadata"]["annotations"]["chrion.dev/slo"] for pod in pods} == {slo}
    assert {"Planned", "Serving"} <= {event["reason"] for event in model.events()}
    model.delete()
    wait_until(lambda: not any(model.owned(kind) for kind in (*OWNED, "Pod", "ReplicaSet")), "nothing being left")
    assert "Traceback" not in operator.words()
    assert operator.terminate() == 0


def test_figures_are_shared_and_go_with_the_last_model(operator: OperatorProcess, model: Model) -> None:
    def owners() -> list[str]:
        return [owner["name"] for found in figures() for owner in found["metadata"]["ownerReferences"]]

    def figures() -> list[Object]:
        selector = "app.kubernetes.io/component=figures,app.kubernetes.io/managed-by=chrion"
        return model.cluster.list("ConfigMap", model.namespace, selector)

    other = Model(model.cluster, model.namespace, "silero")
    model.apply()
    other.apply()
    wait_until(lambda: sorted(owners()) == ["nsnet2", "silero"], "both models' owning the figures")
    name = figures()[0]["metadata"]["name"]
    kept = {"cpu.json": "Yg=="}
    model.cluster.patch("ConfigMap", name, model.namespace, {"binaryData": kept})
    model.delete()
    wait_until(lambda: owners() == ["silero"], "only the other's owning them")
    other.apply(model={"uri": "https://models.example/other.onnx"})
    other.wait_for("Profiled", "False")
    assert figures()[0]["binaryData"] == kept
    other.delete()
    wait_until(lambda: not figures(), "their going with the last model")


def test_progress_shows_while_the_job_runs(operator: OperatorProcess, model: Model) -> None:
    model.apply()
    model.wait_for("Profiled", "False")
    pod = wait_until(lambda: model.owned("Pod", "planner"), "the planner's pod")[0]
    running = {"containerStatuses": [_container("plan", {"running": {"startedAt": now()}})]}
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": now()}
    status = {"phase": "Running", "conditions": [scheduled], **running}
    model.cluster.patch("Pod", pod["metadata"]["name"], model.namespace, {"status": status}, status=True)
    model.planner.progress(42, "measuring cpu-2-lanes")
    wait_until(lambda: model.conditions()["Profiled"]["message"] == "42 %: measuring cpu-2-lanes", "the progress")
    assert model.conditions()["Profiled"]["reason"] == "Planning"


def test_a_bad_model_stalls_with_its_own_sentence(operator: OperatorProcess, model: Model) -> None:
    model.apply()
    pod = wait_until(lambda: model.owned("Pod", "planner"), "the planner's pod")[0]
    words = {"reason": "ModelNotFound", "message": "https://models.example/a.onnx: 404 Not Found", "permanent": True}
    ended = {"terminated": {"exitCode": 42, "reason": "Error", "message": json.dumps(words), "finishedAt": now()}}
    status = {"phase": "Failed", "initContainerStatuses": [_container("fetch", ended)]}
    model.cluster.patch("Pod", pod["metadata"]["name"], model.namespace, {"status": status}, status=True)
    assert model.wait_for("Stalled", "True", "ModelNotFound")["message"] == words["message"]
    assert model.wait_for("ModelResolved", "False")["message"] == words["message"]
    (job,) = model.owned("Job")
    model.cluster.delete("Job", job["metadata"]["name"], model.namespace)
    wait_until(lambda: not model.owned("Job"), "the Job's going")
    model.annotate(looked="at")
    model.apply(slo={"latency": "20ms"})
    model.wait_for("Stalled", "True", "ModelNotFound")
    assert not model.owned("Job")
    model.apply(model={"uri": "https://models.example/b.onnx"})
    model.planner.wait()
    model.wait_for("Stalled", "False")


def test_what_people_change_goes_back(operator: OperatorProcess, model: Model) -> None:
    planned(model)
    model.cluster.patch(
        "Deployment", model.deployment()["metadata"]["name"], model.namespace, {"spec": {"replicas": 5}}
    )
    wait_until(lambda: model.deployment()["spec"]["replicas"] == 1, "the replicas' going back")
    for kind in ("Service", "ServiceAccount", "Role", "RoleBinding", "Deployment"):
        for one in model.owned(kind):
            model.cluster.delete(kind, one["metadata"]["name"], model.namespace)
            uid = one["metadata"]["uid"]
            wait_until(lambda k=kind, u=uid: [x for x in model.owned(k) if x["metadata"]["uid"] != u], f"a new {kind}")
    frontier = model.owned("ConfigMap", "frontier")[0]["metadata"]["name"]
    model.cluster.patch("ConfigMap", frontier, model.namespace, {"data": {"plan.json": "nonsense"}})
    wait_until(lambda: model.owned("ConfigMap", "frontier")[0]["data"]["plan.json"] == PLAN, "the frontier's repair")
    slo = model.owned("ConfigMap", "slo")[0]["metadata"]["name"]
    model.cluster.patch("ConfigMap", slo, model.namespace, {"metadata": {"labels": {"chrion.dev/model": None}}})
    wait_until(lambda: model.owned("ConfigMap", "slo"), "the label's coming back")


def test_a_plan_spoilt_by_hand_is_told_and_not_taken(operator: OperatorProcess, model: Model) -> None:
    planned(model)
    plan = model.owned("ConfigMap", "plan")[0]["metadata"]["name"]
    model.cluster.patch("ConfigMap", plan, model.namespace, {"data": {"plan.json": "nonsense"}})
    model.wait_for("Planned", "True", "PlanRefused")
    assert model.owned("ConfigMap", "frontier")[0]["data"]["plan.json"] == PLAN
    wait_until(lambda: "PlanRefused" in {event["reason"] for event in model.events()}, "the event")


def test_an_objective_is_written_and_rolls_nothing_over(operator: OperatorProcess, model: Model) -> None:
    planned(model, slo={"latency": "20ms"})
    generation = model.deployment()["metadata"]["generation"]
    model.apply(slo={"latency": "5ms"})
    wait_until(lambda: '"5ms"' in model.owned("ConfigMap", "slo")[0]["data"]["slo.json"], "the objective")
    model.wait_for("Planned", "True")
    assert model.deployment()["metadata"]["generation"] == generation
    assert len(model.owned("Job")) == 1


def test_another_model_replaces_the_old_one_only_when_it_is_planned(operator: OperatorProcess, model: Model) -> None:
    planned(model)
    before = model.deployment()["spec"]["template"]
    model.apply(model={"uri": "https://models.example/b.onnx"})
    model.wait_for("Planned", "False", None)
    assert model.deployment()["spec"]["template"] == before
    model.hand_in(PLAN.replace(PLAN_MODEL, "c" * 64))
    model.wait_for("Planned", "True")
    assert "c" * 64 in json.dumps(model.deployment()["spec"]["template"])


def test_a_committed_plan_needs_no_job(operator: OperatorProcess, model: Model) -> None:
    configmap = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine", "namespace": model.namespace}}
    model.cluster.apply({**configmap, "data": {"plan.json": PLAN}})
    model.apply(planRef={"name": "mine"})
    model.wait_for("Planned", "True")
    assert not model.owned("Job")
    assert model.deployment()


def test_paused_means_hands_off(operator: OperatorProcess, model: Model) -> None:
    planned(model)
    model.apply(paused=True)
    model.wait_for("Reconciling", "False", "Paused")
    name = model.deployment()["metadata"]["name"]
    model.cluster.patch("Deployment", name, model.namespace, {"spec": {"replicas": 3}})
    model.apply(paused=True, slo={"latency": "7ms"})
    model.wait_for("Reconciling", "False", "Paused")
    assert model.deployment()["spec"]["replicas"] == 3
    model.apply(paused=False)
    wait_until(lambda: model.deployment()["spec"]["replicas"] == 1, "the replicas' going back")


def test_a_spec_that_the_schema_lets_through_names_its_field(operator: OperatorProcess, model: Model) -> None:
    one, other = {"name": "a", "shapes": [[1], [2]]}, {"name": "b", "shapes": [[1], [2], [3]]}
    model.apply(inputs=[one, other])
    assert "spec.inputs" in model.wait_for("Stalled", "True", "InvalidSpec")["message"]
    assert not model.owned("Job")
    model.apply(inputs=[one])
    model.planner.wait()


def test_somebody_elses_object_is_left_alone(operator: OperatorProcess, model: Model) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": 1234, "protocol": "TCP"}]
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": model.name, "namespace": model.namespace},
        "spec": {"selector": {"app": "theirs"}, "ports": ports},
    }
    model.cluster.apply(theirs)
    model.apply()
    assert "Service nsnet2" in model.wait_for("Stalled", "True", "NotOurs")["message"]
    found = model.cluster.get("Service", model.name, model.namespace)
    assert found is not None
    assert found["spec"]["selector"] == {"app": "theirs"}
    model.cluster.delete("Service", model.name, model.namespace)
    model.wait_for("Stalled", "False")


def test_a_pod_template_that_the_server_refuses_is_told(operator: OperatorProcess, model: Model) -> None:
    model.apply(planner={"podTemplate": {"spec": {"dnsPolicy": "Nonsense"}}})
    assert "dnsPolicy" in model.wait_for("Stalled", "True", "InvalidSpec")["message"]


def test_where_all_is_well_nothing_is_written(operator: OperatorProcess, model: Model) -> None:
    planned(model, runtime={"resources": {"limits": {"cpu": "1000m"}, "requests": {"memory": "1024Mi"}}})
    wait_until(lambda: model.owned("Pod", "runtime"), "a replica")
    model.serve()
    model.wait_for("Serving", "True")
    before = writes(operator)
    looks = reconciles(operator)
    model.annotate(look="again")
    wait_until(lambda: reconciles(operator) > looks, "another look")
    assert writes(operator) == before


def _container(name: str, state: dict[str, object]) -> dict[str, object]:
    return {"name": name, "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": state}
