"""A node with a GPU, as the scheduler sees it: an extended resource and its labels, and nothing behind them."""

from collections.abc import Iterator

import pytest

from chrion_models.families import find
from tests.e2e import images
from tests.e2e.model_server import ModelServer
from tests.e2e.served import SMALL_INPUTS, Served
from tests.support.cluster import Cluster
from tests.support.operator import OperatorProcess
from tests.support.waiting import wait_until

NODE = "node1"
LABELS = {"nvidia.com/gpu.product": "NVIDIA-H100-PCIe", "nvidia.com/gpu.memory": "81559", "nvidia.com/gpu.count": "1"}


@pytest.fixture(scope="module")
def gpu(node: Cluster) -> Iterator[Cluster]:
    """The cluster, whose node has one GPU for as long as these tests run."""
    node.patch("Node", NODE, None, {"metadata": {"labels": LABELS}})
    node.patch("Node", NODE, None, {"status": {"capacity": {"nvidia.com/gpu": "1"}}}, status=True)
    node.wait_for("Node", NODE, None, lambda it: it["status"]["allocatable"].get("nvidia.com/gpu") == "1", "a GPU")
    yield node
    node.patch("Node", NODE, None, {"metadata": {"labels": dict.fromkeys(LABELS)}})
    none = {"nvidia.com/gpu": None}
    node.patch("Node", NODE, None, {"status": {"capacity": none, "allocatable": none}}, status=True)
    node.wait_for("Node", NODE, None, lambda it: "nvidia.com/gpu" not in it["status"]["allocatable"], "no GPU")


@pytest.fixture
def holder(gpu: Cluster, namespace: str) -> Iterator[str]:
    """A pod that holds the GPU."""
    container = {
        "name": "holder",
        "image": images.IMAGE,
        "imagePullPolicy": "Never",
        "command": ["sleep", "infinity"],
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
        "volumeMounts": [{"name": "usr", "mountPath": "/usr", "readOnly": True}],
    }
    gpu.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "holder", "namespace": namespace},
            "spec": {
                "containers": [container],
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "volumes": [{"name": "usr", "hostPath": {"path": "/usr"}}],
            },
        }
    )
    gpu.wait_for("Pod", "holder", namespace, lambda pod: pod["status"]["phase"] == "Running", "running")
    yield "holder"
    gpu.delete("Pod", "holder", namespace)


def test_a_model_waits_for_a_gpu_and_says_who_holds_it(
    gpu: Cluster, operator: OperatorProcess, models: ModelServer, namespace: str, holder: str
) -> None:
    uri = models.add("for-gpu.onnx", find("lstm-bidirectional-l2-h16-s8-b2").build().SerializeToString())
    served = Served(gpu, namespace, "on-gpu", uri, inputs=SMALL_INPUTS)
    served.apply()
    served.wait_for("Profiled", "False", "WaitingForGPU", f"{namespace}/{holder}")
    gpu.delete("Pod", holder, namespace)

    def scheduled() -> bool:
        planners = gpu.list("Pod", namespace, "chrion.dev/model=on-gpu,app.kubernetes.io/component=planner")
        return any(pod["spec"].get("nodeName") == NODE for pod in planners)

    wait_until(scheduled, "the planner's getting the GPU")
    served.delete()
