"""Whatever pods and people write where the operator reads words, a decision comes of it."""

import copy
import json
from typing import Any

import pytest

from chrion_operator.reconcile.attempts import MOST_ATTEMPTS, Attempts
from tests.support.hostile.words import JSONS
from tests.support.world import World, serving


@pytest.mark.parametrize("annotation", ["chrion.dev/progress", "chrion.dev/attempts", "chrion.dev/planned"])
@pytest.mark.parametrize("text", JSONS.values(), ids=JSONS)
def test_no_annotation_of_a_plan_ends_a_decision(annotation: str, text: str) -> None:
    world = World()
    world.settle()
    world.planner_pod(containerStatuses=[{"name": "plan", "state": {"running": {}}}])
    annotations = world.one("ConfigMap", "plan")["metadata"]["annotations"]
    annotations[annotation] = text.replace("REVISION", annotations["chrion.dev/revision"])
    world.settle()
    assert world.condition("Ready")[0] == "False"


@pytest.mark.parametrize("text", ["9" * 5000, "-1", "x", "", "1e9", "٣"])
def test_no_number_of_an_attempt_ends_a_decision(text: str) -> None:
    world = World()
    world.settle()
    world.one("Job")["metadata"]["annotations"]["chrion.dev/attempt"] = text
    world.settle()
    assert world.condition("Ready")[0] == "False"


@pytest.mark.parametrize("text", JSONS.values(), ids=JSONS)
def test_no_last_words_of_a_planner_end_a_decision(text: str) -> None:
    world = World()
    world.settle()
    world.planner_fails(1, message=text)
    world.end_job("Failed")
    world.settle()
    assert world.condition("Ready")[0] == "False"
    assert len(world.message("Ready")) <= 1024


def test_a_count_of_attempts_that_somebody_wrote_is_one_that_there_can_be() -> None:
    def attempts(count: Any) -> Attempts:
        text = json.dumps({"revision": "r", "count": count})
        return Attempts.of({"metadata": {"annotations": {"chrion.dev/attempts": text}}}, "r")

    assert attempts(3).count == 3
    assert attempts(10**9).count == MOST_ATTEMPTS
    assert attempts(-5).count == attempts("3").count == attempts(None).count == attempts(True).count == 1


def test_the_pods_of_somebody_else_are_none_of_the_models() -> None:
    world = serving()
    (pod,) = world.all("Pod", "runtime")
    labels = dict(pod["metadata"]["labels"])
    blocked = {"name": "serve", "state": {"waiting": {"reason": "ErrImagePull"}}}
    theirs = {
        **pod,
        "metadata": {"name": "theirs", "uid": "theirs", "resourceVersion": "1", "labels": labels},
        "status": {"phase": "Running", "containerStatuses": [blocked]},
    }
    world.objects["Pod", "theirs"] = theirs
    before, status = copy.deepcopy(theirs), world.owner["status"]
    world.edit(slo={"latency": "7ms"})
    assert theirs == before
    world.edit(slo={})
    assert {one["type"]: one["reason"] for one in world.owner["status"]["conditions"]} == {
        one["type"]: one["reason"] for one in status["conditions"]
    }
