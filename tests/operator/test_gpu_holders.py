"""Who holds the GPUs: pods on a node that have not ended, by how many they hold."""

from chrion_operator.nodes import gpu_holders
from tests.support.objects import pod

GPU = "nvidia.com/gpu"


def test_holders_are_pods_on_nodes_that_run() -> None:
    pods = [
        pod("one", {GPU: "1"}),
        pod("four", {GPU: "4"}),
        pod("waiting", {GPU: "1"}, node_name=None, phase="Pending"),
        pod("done", {GPU: "1"}, phase="Succeeded"),
        pod("other", {"nvidia.com/gpu.shared": "1"}),
        pod("cpu", {"cpu": "1"}),
    ]
    assert gpu_holders(GPU, pods) == ("audio/four (4)", "audio/one (1)")


def test_containers_add_up_and_init_containers_do_not() -> None:
    several = pod("several", {GPU: "1"})
    several["spec"]["containers"].append({"name": "more", "resources": {"requests": {GPU: 1}}})
    several["spec"]["initContainers"] = [{"name": "first", "resources": {"limits": {GPU: "1"}}}]
    assert gpu_holders(GPU, [several]) == ("audio/several (2)",)
