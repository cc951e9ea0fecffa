"""What people delete, scale or spoil by hand is put right, and the checked plan serves on."""

import pytest

from tests.support.objects import plan_file
from tests.support.world import World, serving


@pytest.mark.parametrize("kind", ["ConfigMap", "Deployment", "Role", "RoleBinding", "Service", "ServiceAccount"])
def test_what_is_deleted_by_hand_comes_back(kind: str) -> None:
    world = serving()
    names = {place for place in world.objects if place[0] == kind}
    for place in names:
        world.remove(*place)
    world.settle()
    if kind == "ConfigMap":  # the plan was in both, and is rebuilt
        assert world.condition("Ready") == ("True", "Succeeded")
        job = world.one("Job")
        assert job["metadata"]["annotations"]["chrion.dev/attempt"] == "1"
        world.hand_in()
    assert {place for place in world.objects if place[0] == kind} == names


def test_a_deployment_that_was_scaled_by_hand_goes_back() -> None:
    world = serving(runtime={"replicas": 2})
    world.one("Deployment")["spec"]["replicas"] = 7
    world.settle()
    assert world.one("Deployment")["spec"]["replicas"] == 2


def test_a_frontier_edited_by_hand_is_repaired() -> None:
    world = serving()
    world.one("ConfigMap", "frontier")["data"]["plan.json"] = "nonsense"
    world.settle()
    assert world.one("ConfigMap", "frontier")["data"]["plan.json"] == plan_file().to_json()
    assert not world.all("Job") or len(world.all("Job")) == 1


def test_a_frontier_spoilt_with_its_source_is_planned_anew_while_the_old_one_serves() -> None:
    world = serving()
    world.one("ConfigMap", "frontier")["data"]["plan.json"] = "nonsense"
    world.write_plan("nonsense")
    before = world.one("Job")["metadata"]["uid"]
    world.settle()
    world.wait(60)
    assert world.one("Job")["metadata"]["uid"] != before
    assert world.condition("Ready") == ("True", "Succeeded")
    world.hand_in()
    assert world.one("ConfigMap", "frontier")["data"]["plan.json"] == plan_file().to_json()


def test_a_plan_spoilt_by_hand_is_reported_and_the_checked_one_serves_on() -> None:
    world = serving()
    world.write_plan("nonsense")
    world.settle()
    assert world.condition("Planned") == ("True", "PlanRefused")
    assert "PlanRefused" in [event.reason for event in world.events]
    assert world.one("ConfigMap", "frontier")["data"]["plan.json"] == plan_file().to_json()


def test_a_planner_that_hands_in_nonsense_is_tried_again() -> None:
    world = World()
    world.settle()
    before = world.one("Job")["metadata"]["uid"]
    world.hand_in("nonsense")
    assert not world.all("Deployment")
    assert world.condition("Planned") == ("False", "PlanRefused")
    world.wait(60)
    assert world.one("Job")["metadata"]["uid"] != before
