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
    assert gpu_holders(pods)[GPU] == ("audio/four (4)", "audio/one (1)")


def test_containers_add_up_and_init_containers_do_not() -> None:
    several = pod("several", {GPU: "1"})
    several["spec"]["containers"].append({"name": "more", "resources": {"requests": {GPU: 1}}})
    several["spec"]["initContainers"] = [{"name": "first", "resources": {"limits": {GPU: "1"}}}]
    assert gpu_holders([several])[GPU] == ("audio/several (2)",)


def test_one_list_tells_of_every_resource() -> None:
    found = gpu_holders(
        [pod("one", {GPU: "1"}), pod("other", {"nvidia.com/gpu.shared": "2"}), pod("cpu", {"cpu": "1"})]
    )
    assert found == {GPU: ("audio/one (1)",), "nvidia.com/gpu.shared": ("audio/other (2)",)}


def test_no_more_are_named_than_a_sentence_holds() -> None:
    assert len(gpu_holders([pod(f"p{number}", {GPU: "1"}) for number in range(1000)])[GPU]) == 20
