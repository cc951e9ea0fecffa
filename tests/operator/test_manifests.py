"""Manifests: what belongs together is named alike, and what depends on the server or the settings does."""

import json
from dataclasses import replace
from typing import Any

import pytest

from chrion_api import ChrionModelSpec, InvalidField, Objective
from chrion_operator.manifests import (
    Server,
    figures_configmap,
    frontier_configmap,
    plan_configmap,
    pod_disruption_budget,
    role,
    role_binding,
    service,
    service_account,
    service_monitor,
    slo_configmap,
    slo_digest,
)
from chrion_operator.plans import read_plan
from chrion_operator.settings import Settings
from tests.operator.test_pods import CPU, GPU, REVISION, containers, job, named, served
from tests.support.objects import owner, plan_file, spec

NEW, OLD = Server(minor=33, has_service_monitor=True), Server(minor=20, has_pdb_v1=False)
PLAN = read_plan({"metadata": {"name": "p"}, "data": {"plan.json": plan_file().to_json()}})
ASKED = Settings(service_monitor=True, service_monitor_labels={"release": "prometheus"})


def all_manifests() -> list[Any]:
    wanted = spec(runtime={"maxUnavailable": 1})
    return [
        service_account(owner(), CPU),
        role(owner(), CPU),
        role_binding(owner(), CPU),
        plan_configmap(owner(), CPU, REVISION),
        frontier_configmap(owner(), CPU, REVISION, PLAN),
        slo_configmap(owner(), wanted),
        job(),
        served(),
        service(owner()),
        pod_disruption_budget(owner(), wanted, NEW),
        service_monitor(owner(), ASKED, NEW),
    ]


@pytest.mark.parametrize("manifest", all_manifests(), ids=lambda manifest: manifest["kind"])
def test_everything_is_labelled_and_owned(manifest: Any) -> None:
    assert manifest["metadata"]["namespace"] == "audio"
    labels = manifest["metadata"]["labels"]
    assert labels["app.kubernetes.io/managed-by"] == labels["app.kubernetes.io/name"] == "chrion"
    assert labels["chrion.dev/model"] == "nsnet2"
    (reference,) = manifest["metadata"]["ownerReferences"]
    assert (reference["kind"], reference["uid"], reference["controller"]) == ("ChrionModel", "0-1-2", True)
    assert reference["blockOwnerDeletion"] is False
    assert json.loads(json.dumps(manifest)) == manifest


def test_a_planner_may_touch_two_configmaps_and_nothing_else() -> None:
    (rule,) = role(owner(), CPU)["rules"]
    assert rule["resources"] == ["configmaps"]
    both = plan_configmap(owner(), CPU, REVISION), figures_configmap(owner(), CPU)
    assert rule["resourceNames"] == [made["metadata"]["name"] for made in both]
    assert sorted(rule["verbs"]) == ["get", "patch"]
    binding = role_binding(owner(), CPU)
    account = service_account(owner(), CPU)["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "audio"}]
    assert binding["roleRef"]["name"] == role(owner(), CPU)["metadata"]["name"]
    assert job()["spec"]["template"]["spec"]["serviceAccountName"] == account


def test_the_operator_never_owns_what_planners_write() -> None:
    for made in (plan_configmap(owner(), CPU, REVISION), figures_configmap(owner(), CPU)):
        assert not {"data", "binaryData"} & set(made)


def test_the_models_of_a_namespace_share_the_figures_of_a_node_class() -> None:
    made, other = figures_configmap(owner(), CPU), figures_configmap(owner("silero", uid="3"), CPU)
    for each, uid in ((made, "0-1-2"), (other, "3")):
        (reference,) = each["metadata"].pop("ownerReferences")
        assert (reference["kind"], reference["uid"], reference["controller"]) == ("ChrionModel", uid, False)
    assert made == other
    labels = made["metadata"]["labels"]
    assert labels["app.kubernetes.io/managed-by"] == "chrion"
    assert labels["chrion.dev/node-class"] == CPU.name
    assert "chrion.dev/model" not in labels
    assert figures_configmap(owner(), GPU)["metadata"]["name"] != made["metadata"]["name"]
    elsewhere = figures_configmap(owner(namespace="video"), CPU)
    assert elsewhere["metadata"]["namespace"] == "video"
    env = named(containers(job()["spec"]["template"]["spec"])["plan"]["env"])
    assert env["CHRION_FIGURES"]["value"] == f"audio/{made['metadata']['name']}"


def test_the_planner_is_told_what_to_plan_and_where_to_hand_it_in() -> None:
    fields: dict[str, Any] = {
        "inputs": [{"name": "input", "shape": [1, 50, 161]}],
        "planner": {"timeout": "20m", "podTemplate": {"metadata": {"labels": {"a": "b"}}}},
    }
    plan = containers(job(**fields)["spec"]["template"]["spec"])["plan"]
    assert plan["args"][-3:] == ["audio/nsnet2-plan-cpu-amd64", "--revision", REVISION]
    given = ChrionModelSpec.parse(json.loads(named(plan["env"])["CHRION_SPEC"]["value"]))
    assert given.inputs == spec(**fields).inputs
    assert given.planner.timeout == "20m"
    assert given.planner.pod_template == {}
    assert given.devices.gpu_resource == ""
    on_gpu = named(containers(job(cls=GPU, **fields)["spec"]["template"]["spec"])["plan"]["env"])["CHRION_SPEC"]
    assert json.loads(on_gpu["value"])["devices"]["gpuResource"] == "nvidia.com/gpu"


def test_pods_mount_their_own_revision_and_the_objective() -> None:
    pod = served()["spec"]["template"]["spec"]
    volumes = named(pod["volumes"])
    frontier, slo = frontier_configmap(owner(), CPU, REVISION, PLAN), slo_configmap(owner(), spec())
    assert volumes["plan"]["configMap"]["name"] == frontier["metadata"]["name"]
    assert volumes["slo"]["configMap"]["name"] == slo["metadata"]["name"]
    args = pod["containers"][0]["args"]
    assert args[args.index("--plan") + 1] == f"/plan/{next(iter(frontier['data']))}"
    assert args[args.index("--slo") + 1] == f"/slo/{next(iter(slo['data']))}"


def test_values_and_state_reach_the_runtime() -> None:
    inputs = [
        {"name": "sr", "value": 16000},
        {"name": "gain", "value": 1234567.25},
        {"name": "on", "value": True},
        {"name": "input", "shape": [1]},
    ]
    args = served(inputs=inputs, state=[{"output": "stateN", "input": "state"}])["spec"]["template"]["spec"]
    text = " ".join(args["containers"][0]["args"])
    assert text.endswith("--value sr=16000 --value gain=1234567.25 --value on=1 --state stateN=state")


def test_the_memory_of_runs_reaches_the_runtime_and_leaves_its_container_room() -> None:
    def serve(limit: str | int | None) -> Any:
        resources = {} if limit is None else {"limits": {"memory": limit}}
        made = served(limits={"runMemory": "2Gi"}, runtime={"resources": resources})
        return containers(made["spec"]["template"]["spec"])["serve"]["args"]

    for limit in (None, "2Gi", 3 << 30, "9000000000000m"):
        args = serve(limit)
        assert args[args.index("--run-memory") + 1] == "2Gi"
    with pytest.raises(InvalidField, match=r"runMemory: 2Gi is more than the container's memory limit of 2G"):
        serve("2G")
    assert "--run-memory" not in containers(served()["spec"]["template"]["spec"])["serve"]["args"]


def test_the_objective_is_one_that_the_runtime_reads() -> None:
    wanted = spec(slo={"latency": "20ms", "gpuMemory": 1000}, mode="Memory")
    made = slo_configmap(owner(), wanted)
    assert Objective.from_json(made["data"]["slo.json"]) == Objective.of(wanted.slo, wanted.mode)
    assert made["metadata"]["annotations"]["chrion.dev/slo"] == slo_digest(wanted) != slo_digest(spec())


def test_a_changed_objective_leaves_the_pods_as_they_are() -> None:
    assert served() == served(slo={"latency": "20ms"}, mode="Latency")


@pytest.mark.parametrize(
    ("cls", "replicas", "stuck", "surge"),
    [
        (CPU, 5, False, 1),
        (CPU, 5, True, 1),
        (GPU, 1, False, 0),
        (replace(GPU, slots=2), 1, False, 1),
        (replace(GPU, slots=2), 1, True, 0),
    ],
)
def test_a_rollout_takes_a_gpu_before_it_asks_for_one_where_none_is_free(
    cls: Any, replicas: int, stuck: bool, surge: int
) -> None:
    strategy = served(cls=cls, replicas=replicas, stuck=stuck)["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": surge, "maxUnavailable": 1 - surge}


def test_the_service_and_the_budget_select_the_runtimes_of_every_class() -> None:
    budget = pod_disruption_budget(owner(), spec(runtime={"maxUnavailable": 2}), NEW)
    assert budget is not None
    assert budget["spec"]["maxUnavailable"] == 2
    for selector in (service(owner())["spec"]["selector"], budget["spec"]["selector"]["matchLabels"]):
        for cls in (CPU, GPU):
            assert selector.items() <= served(cls=cls)["spec"]["template"]["metadata"]["labels"].items()
        assert not selector.items() <= job()["spec"]["template"]["metadata"]["labels"].items()


def test_the_service_monitor_selects_the_service() -> None:
    monitor = service_monitor(owner(), ASKED, NEW)
    assert monitor is not None
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service(owner())["metadata"]["labels"].items()
    ports = {port["name"] for port in service(owner())["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports


def test_budget_and_monitor_are_made_where_they_are_asked_for_and_known() -> None:
    assert pod_disruption_budget(owner(), spec(), NEW) is None
    budget = pod_disruption_budget(owner(), spec(runtime={"maxUnavailable": 1}), OLD)
    assert budget is not None
    assert budget["apiVersion"] == "policy/v1beta1"
    assert service_monitor(owner(), Settings(), NEW) is None
    assert service_monitor(owner(), ASKED, OLD) is None


def test_jobs_end_and_go() -> None:
    made = job(planner={"timeout": "20m"})["spec"]
    assert made["activeDeadlineSeconds"] == 20 * 60 + 600
    assert made["backoffLimit"] == 2
    assert made["template"]["spec"]["restartPolicy"] == "Never"
    assert made["ttlSecondsAfterFinished"] > 0


def test_a_bad_model_fails_a_job_at_once_where_the_server_can() -> None:
    actions = {rule["action"]: rule for rule in job(server=NEW)["spec"]["podFailurePolicy"]["rules"]}
    assert actions["FailJob"]["onExitCodes"]["values"] == [42]
    assert actions["Ignore"]["onPodConditions"][0]["type"] == "DisruptionTarget"
    assert "podFailurePolicy" not in job(server=OLD)["spec"]


def test_kueue_gets_its_jobs_suspended_where_the_server_can() -> None:
    queued = job(server=NEW, planner={"queueName": "batch"})
    assert queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "batch"
    assert queued["spec"]["suspend"] is True
    assert "suspend" not in job(server=OLD, planner={"queueName": "batch"})["spec"]
    assert "suspend" not in job(server=NEW)["spec"]
