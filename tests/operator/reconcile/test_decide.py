"""What is decided for a ChrionModel, from its first sight to its replacement."""

import pytest

from chrion_api import Reason
from chrion_operator.manifests import Server
from chrion_operator.reconcile import PodAnswer, WriteRefusal
from tests.support.objects import node, plan_file
from tests.support.world import World, serving


def revision(world: World) -> str:
    return str(world.one("Deployment")["metadata"]["labels"]["chrion.dev/revision"])


def test_the_first_look_starts_a_planner_and_makes_all_but_the_replicas() -> None:
    world = World()
    world.settle()
    kinds = sorted(kind for kind, _ in world.objects)
    assert kinds == ["ConfigMap", "ConfigMap", "Job", "Role", "RoleBinding", "Service", "ServiceAccount"]
    assert world.condition("Ready") == ("False", "Planning")
    assert world.condition("Reconciling") == ("True", "Planning")
    assert world.owner["status"]["observedGeneration"] == 1


def test_figures_are_there_before_each_planner_starts() -> None:
    world = World()
    first = world.decide()
    (figures,) = first.share
    assert figures["metadata"]["name"] == "chrion-figures-cpu"
    assert "Job" in {manifest["kind"] for manifest in first.apply}
    world.settle()
    assert set(world.shared) == {"chrion-figures-cpu"}
    assert not world.decide().share
    world.hand_in()
    world.serve()
    world.shared.clear()
    world.settle()
    assert not world.shared
    world.edit(model={"uri": "https://models.example/other.onnx"})
    assert world.shared


def test_a_plan_is_checked_and_copied_and_served() -> None:
    world = World(runtime={"replicas": 2})
    world.settle()
    world.hand_in()
    frontier = world.one("ConfigMap", "frontier")
    assert frontier["data"]["plan.json"] == plan_file().to_json()
    deployment = world.one("Deployment")
    assert deployment["spec"]["replicas"] == 2
    assert world.condition("Planned") == ("True", "Succeeded")
    assert world.condition("Serving") == ("False", "RollingOut")
    world.serve()
    assert world.condition("Serving") == world.condition("Ready") == ("True", "Succeeded")
    assert world.condition("Reconciling") == ("False", "Succeeded")
    assert world.owner["status"]["model"]["sha256"] == plan_file().model
    assert world.owner["status"]["url"] == "http://nsnet2.audio.svc"


def test_progress_shows_while_the_planner_runs() -> None:
    world = World()
    world.settle()
    world.planner_pod(containerStatuses=[{"name": "plan", "state": {"running": {}}}])
    world.progress(42, "measuring cpu-2-lanes")
    world.settle()
    assert world.condition("Profiled") == ("False", "Planning")
    assert world.message("Profiled") == "42 %: measuring cpu-2-lanes"
    world.edit(model={"uri": "https://models.example/other.onnx"})
    world.settle()
    world.planner_pod(containerStatuses=[{"name": "plan", "state": {"running": {}}}])
    world.settle()
    assert "42 %" not in world.message("Profiled"), "that was of the model before"


def test_a_new_model_is_planned_while_the_old_one_serves() -> None:
    world = serving()
    old = world.one("Deployment")
    kept, before = dict(old["spec"]["template"]), revision(world)
    world.edit(model={"uri": "https://models.example/other.onnx"})
    assert world.one("Deployment")["spec"]["template"] == kept
    assert len(world.all("ConfigMap", "frontier")) == 1
    assert world.condition("Ready") == ("True", "Succeeded")
    assert world.condition("Serving") == ("False", "Planning")
    world.hand_in(plan_file("c" * 64).to_json())
    assert revision(world) != before
    assert "c" * 64 in str(world.one("Deployment")["spec"]["template"])
    assert world.condition("Ready") == ("True", "Succeeded")


def test_replicas_follow_while_another_model_is_planned() -> None:
    world = serving()
    world.edit(model={"uri": "https://models.example/other.onnx"}, runtime={"replicas": 3})
    assert world.one("Deployment")["spec"]["replicas"] == 3


def test_going_back_to_an_earlier_spec_needs_no_job() -> None:
    world = serving()
    first, before = dict(world.owner["spec"]), revision(world)
    world.edit(model={"uri": "https://models.example/other.onnx"})
    world.hand_in(plan_file("c" * 64).to_json())
    world.serve()
    world.edit(**first)
    assert revision(world) == before
    assert not world.all("Job")


def test_frontiers_out_of_use_go_but_for_the_last_two() -> None:
    world = serving()
    for number in range(5):
        world.wait(60)
        world.edit(model={"uri": f"https://models.example/{number}.onnx"})
        world.hand_in(plan_file(f"{number}" * 64).to_json())
        world.serve()
    assert len(world.all("ConfigMap", "frontier")) == 2


def test_an_objective_reaches_configmap_and_running_pods_and_never_the_template() -> None:
    world = serving(slo={"latency": "20ms"})
    template = dict(world.one("Deployment")["spec"]["template"])
    world.edit(slo={"latency": "5ms"})
    slo = world.one("ConfigMap", "slo")
    assert '"5ms"' in slo["data"]["slo.json"]
    assert world.one("Deployment")["spec"]["template"] == template
    pod = world.one("Pod", "runtime")
    assert pod["metadata"]["annotations"]["chrion.dev/slo"] == slo["metadata"]["annotations"]["chrion.dev/slo"]
    assert world.condition("Serving") == ("True", "Succeeded")
    assert not world.all("Pod", "planner")


def test_a_committed_plan_is_served_without_a_job() -> None:
    world = World(planRef={"name": "mine"})
    world.settle()
    assert world.condition("Planned") == ("False", "PlanNotFound")
    world.others["mine"] = {"metadata": {"name": "mine"}, "data": {"plan.json": plan_file().to_json()}}
    world.settle()
    assert world.one("Deployment")
    assert not world.all("Job")
    assert not world.all("Role")
    assert not world.shared
    world.others["mine"]["data"]["plan.json"] = plan_file("d" * 64).to_json()
    world.settle()
    assert "d" * 64 in str(world.one("Deployment")["spec"]["template"])


def test_a_committed_plan_that_is_none_stalls() -> None:
    world = World(planRef={"name": "mine"})
    world.others["mine"] = {"metadata": {"name": "mine"}, "data": {"plan.json": "{}"}}
    world.settle()
    assert world.condition("Stalled") == ("True", "PlanRefused")


def test_paused_leaves_all_as_it_is() -> None:
    world = serving()
    world.edit(paused=True)
    objects = {place: dict(thing) for place, thing in world.objects.items()}
    world.one("Deployment")["spec"]["replicas"] = 7
    world.edit(model={"uri": "https://models.example/other.onnx"}, paused=True)
    assert world.objects.keys() == objects.keys()
    assert world.one("Deployment")["spec"]["replicas"] == 7
    assert world.condition("Reconciling") == ("False", "Paused")
    assert world.condition("Ready") == ("True", "Succeeded")
    world.edit(paused=False)
    assert world.one("Deployment")["spec"]["replicas"] == 1
    assert world.condition("Reconciling")[0] == "True"


def test_an_invalid_spec_stalls_names_the_field_and_touches_nothing() -> None:
    world = serving()
    objects = {place: dict(thing) for place, thing in world.objects.items()}
    world.edit(slo={"latency": "20 bananas"})
    assert world.condition("Stalled") == ("True", "InvalidSpec")
    assert "spec.slo.latency" in world.message("Stalled")
    assert world.condition("Ready") == ("True", "Succeeded")
    assert {place: dict(thing) for place, thing in world.objects.items()} == objects
    assert world.owner["status"]["observedGeneration"] == world.owner["metadata"]["generation"]
    world.edit(slo={"latency": "20ms"})
    assert world.condition("Stalled")[0] == "False"


def test_the_replan_annotation_plans_anew() -> None:
    world = serving()
    before = revision(world)
    world.owner["metadata"]["annotations"]["chrion.dev/replan"] = "2026-01-02"
    world.settle()
    assert world.one("Job")["metadata"]["labels"]["chrion.dev/revision"] != before
    assert revision(world) == before


def test_a_node_class_that_is_gone_goes_once_the_others_serve() -> None:
    world = World(runtime={"replicas": 2})
    amd, arm = node("a", kubernetes_io_arch="x"), node("b")
    amd["metadata"]["labels"]["kubernetes.io/arch"] = "amd64"
    arm["metadata"]["labels"]["kubernetes.io/arch"] = "arm64"
    world.nodes = (amd, arm)
    world.settle()
    assert len(world.all("Job")) == 2
    world.hand_in()
    world.serve()
    assert sum(deployment["spec"]["replicas"] for deployment in world.all("Deployment")) == 2
    world.nodes = (amd,)
    world.settle()
    assert len(world.all("Deployment")) == 2
    world.serve()
    assert len(world.all("Deployment")) == len(world.all("ServiceAccount")) == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (PodAnswer("cpu-all", True, True, 0.01), ("True", "Succeeded")),
        (PodAnswer("cpu-all", True, None), ("True", "Succeeded")),
        (PodAnswer("cpu-all", True, False, 0.05), ("False", "SLOMissed")),
        (PodAnswer("cpu-all", False, None), ("False", "InfeasibleSLO")),
        (PodAnswer("cpu-all", False, True, 0.01), ("True", "Succeeded")),
    ],
)
def test_the_objective_is_met_or_not_by_what_replicas_say(answer: PodAnswer, expected: tuple[str, str]) -> None:
    world = serving(slo={"latency": "20ms"})
    assert world.condition("SLOMet") == ("Unknown", "Pending")
    world.answers[world.one("Pod", "runtime")["metadata"]["name"]] = answer
    world.settle()
    assert world.condition("SLOMet") == expected
    assert world.condition("Ready") == ("True", "Succeeded")
    (cls,) = world.owner["status"]["classes"]
    assert cls["replicas"][0]["plan"] == "cpu-all"


def test_a_stale_plan_shows() -> None:
    world = serving()
    stale = PodAnswer("cpu-all", True, stale="stage 0 takes 2.1 times what it was measured to")
    world.answers[world.one("Pod", "runtime")["metadata"]["name"]] = stale
    world.settle()
    assert world.condition("Profiled") == ("False", "PlanStale")


def test_a_transition_time_moves_only_with_the_status() -> None:
    world = World()
    world.settle()
    first = world.since("Ready")
    world.wait(60)
    world.hand_in()
    assert world.since("Ready") == first
    assert world.condition("Ready") == ("False", "RollingOut")
    world.serve()
    assert world.since("Ready") != first


def test_events_tell_what_changed_once() -> None:
    world = serving()
    reasons = [event.reason for event in world.events]
    assert reasons.count("Planned") == reasons.count("Serving") == reasons.count("ModelResolved") == 1
    world.settle()
    assert [event.reason for event in world.events] == reasons


def test_no_replicas_are_no_fault() -> None:
    world = serving()
    world.edit(runtime={"replicas": 0})
    world.serve()
    assert world.condition("Ready") == ("False", "ScaledToZero")
    assert world.condition("Reconciling") == ("False", "Succeeded")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (Reason.INVALID_SPEC, "Stalled"),
        (Reason.NOT_OURS, "Stalled"),
        (Reason.LEFT_OVER, "Reconciling"),
        (Reason.REFUSED_BY_SERVER, "Reconciling"),
    ],
)
def test_what_cannot_be_written_shows(reason: Reason, kind: str) -> None:
    world = World()
    world.settle()
    world.refusals = (WriteRefusal("Service nsnet2", reason, "no such thing"),)
    world.settle()
    assert world.condition(kind) == ("True", reason.value)
    assert "Service nsnet2: no such thing" in world.message(kind)


def test_a_suspended_job_waits_for_its_queue() -> None:
    world = World(Server(minor=33), planner={"queueName": "team"})
    world.settle()
    assert world.one("Job")["spec"]["suspend"] is True
    assert world.condition("Profiled") == ("False", Reason.PENDING.value)
    world.one("Job")["spec"]["suspend"] = False
    world.settle()
    assert world.one("Job")["spec"]["suspend"] is False
