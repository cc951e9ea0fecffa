"""What a planner that fails, waits or gives up makes of its model: the condition, and whether it is tried again."""

from tests.support.objects import node
from tests.support.world import World


def test_a_permanent_error_stalls_with_the_planners_sentence_and_no_further_job() -> None:
    world = World()
    world.settle()
    said = {
        "reason": "ModelNotFound",
        "message": "https://models.example/nsnet2.onnx: 404 Not Found",
        "permanent": True,
    }
    world.planner_fails(42, "fetch", message=said)
    world.settle()
    assert world.condition("Stalled") == ("True", "ModelNotFound")
    assert world.message("ModelResolved") == said["message"]
    assert world.one("Job")["spec"]["activeDeadlineSeconds"] == 1
    world.end_job("Failed", "DeadlineExceeded")
    world.settle()
    world.remove("Job", world.one("Job")["metadata"]["name"])
    world.wait(10 * 86400)
    assert not world.all("Job")
    assert world.condition("Stalled") == ("True", "ModelNotFound")
    world.edit(model={"uri": "https://models.example/other.onnx"})
    assert world.one("Job")
    assert world.condition("Stalled")[0] == "False"


def test_a_transient_error_is_tried_again_a_few_times_and_later_each_time() -> None:
    world = World()
    world.settle()
    jobs, waits = set(), []
    while world.condition("Stalled")[0] == "False":
        job = world.one("Job")
        jobs.add(job["metadata"]["uid"])
        world.planner_fails(1, message={"reason": "PlannerFailed", "message": "the node was lost", "permanent": False})
        world.end_job("Failed", "BackoffLimitExceeded")
        world.settle()
        assert "the node was lost" in world.message("Profiled")
        if world.again_after is not None:
            waits.append(world.again_after)
            world.wait(world.again_after / 2)
            assert world.one("Job")["metadata"]["uid"] == job["metadata"]["uid"]
            world.wait(world.again_after or 0)
    assert len(jobs) == 4
    assert waits == sorted(waits)
    assert world.condition("Profiled") == ("False", "PlannerFailed")


def test_a_planner_without_enough_memory_stalls_and_says_what_to_raise() -> None:
    world = World()
    world.settle()
    world.planner_fails(137, reason="OOMKilled")
    world.end_job("Failed", "BackoffLimitExceeded")
    world.settle()
    assert world.condition("Stalled") == ("True", "PlannerFailed")
    assert "spec.planner.resources.limits.memory" in world.message("Stalled")


def test_a_job_that_only_waited_for_a_node_is_replaced_without_end() -> None:
    world = World()
    world.settle()
    for _ in range(10):
        unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
        world.planner_pod(phase="Pending", conditions=[unscheduled])
        world.settle()
        assert world.condition("Profiled") == ("False", "Unschedulable")
        before = world.one("Job")["metadata"]["uid"]
        world.end_job("Failed", "DeadlineExceeded")
        for pod in world.all("Pod"):
            world.remove("Pod", pod["metadata"]["name"])
        world.settle()
        assert world.one("Job")["metadata"]["uid"] != before
        assert world.condition("Stalled")[0] == "False"


def test_waiting_for_a_gpu_says_who_holds_it() -> None:
    world = World(devices={"gpuResource": "nvidia.com/gpu"})
    world.nodes = (node("gpu-1", gpus={"nvidia.com/gpu": "1"}),)
    world.settle()
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    world.planner_pod(phase="Pending", conditions=[{"type": "PodScheduled", "status": "False", "message": message}])
    world.holders = ("audio/other-0 (1)",)
    world.settle()
    assert world.condition("Profiled") == ("False", "WaitingForGPU")
    assert "audio/other-0 (1)" in world.message("Profiled")
