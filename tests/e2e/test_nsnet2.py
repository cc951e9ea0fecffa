"""A real model from `kubectl apply` to its answers, and through what happens to it while it serves."""

import hashlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tritonclient.http as triton

from tests.e2e.load import Array, SteadyLoad
from tests.e2e.model_server import ModelServer
from tests.e2e.served import PLANNING, Served
from tests.support.cluster import Cluster, Object
from tests.support.operator import OperatorProcess
from tests.support.waiting import wait_until

SHAPE = (1, 50, 161)


@pytest.fixture(scope="module")
def nsnet2(
    node: Cluster, operator: OperatorProcess, models: ModelServer, models_dir: Path, namespace: str
) -> Iterator[Served]:
    """NSNet2, served on one lane until the tests of this file are done."""
    uri = models.add("nsnet2.onnx", (models_dir / "nsnet2.onnx").read_bytes())
    inputs = [{"name": "input", "shapes": [list(SHAPE)]}]
    served = Served(node, namespace, "nsnet2", uri, inputs=inputs, slo={"latency": "500ms"})
    served.apply()
    served.wait_for("Ready")
    yield served
    served.delete()


@pytest.fixture(scope="module")
def spectrum() -> Array:
    """An input of NSNet2."""
    return np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def enhanced(models_dir: Path, spectrum: Array) -> Array:
    """What ONNX Runtime answers to it."""
    session = onnxruntime.InferenceSession(models_dir / "nsnet2.onnx", providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["output"], {"input": spectrum})[0])


def test_it_answers_as_onnx_runtime_does_over_its_service(nsnet2: Served, spectrum: Array, enhanced: Array) -> None:
    client = triton.InferenceServerClient(f"{nsnet2.service_ip()}:80")
    tensor = triton.InferInput("input", list(SHAPE), "FP32")
    tensor.set_data_from_numpy(spectrum)
    answer = client.infer("nsnet2", [tensor]).as_numpy("output")
    np.testing.assert_allclose(answer, enhanced, rtol=1e-3, atol=1e-4)


def test_kubectl_tells_at_a_glance(nsnet2: Served, tmp_path: Path) -> None:
    # It keeps for ten minutes what kinds there are, and may have looked before ours was there.
    kubectl = ["kubectl", f"--cache-dir={tmp_path}", "-n", nsnet2.namespace]
    nsnet2.wait_for("Serving")
    wait_until(lambda: nsnet2.object()["status"].get("latency"), "the pod's word on its latency")
    subprocess.run([*kubectl, "wait", "--for=condition=Ready", "chm/nsnet2", "--timeout=60s"], check=True)
    table = subprocess.run([*kubectl, "get", "chm"], check=True, capture_output=True, text=True).stdout
    head, row = table.splitlines()
    assert head.split()[:2] == ["NAME", "MODE"]
    assert {"READY", "REASON", "URL", "AGE"} <= set(head.split())
    cells = dict(zip(re.split(r" {2,}", head.strip()), re.split(r" {2,}", row.strip()), strict=False))
    assert cells["RUNS ON"] == "cpu"
    assert re.fullmatch(r"[0-9.]+m?s", cells["LATENCY"])
    assert cells["GPU MEMORY"] == "0"
    assert f"http://nsnet2.{nsnet2.namespace}.svc" in row


def test_status_says_what_each_replica_uses(nsnet2: Served, models_dir: Path) -> None:
    def told() -> Object | None:
        status = nsnet2.object()["status"]
        replicas = [replica for cls in status.get("classes") or () for replica in cls.get("replicas") or ()]
        return status if replicas else None

    status = wait_until(told, "the status's telling of the replica")
    assert status is not None
    (cls,) = status["classes"]
    assert cls["measuredLatencySeconds"] > 0
    assert [replica["pod"] for replica in cls["replicas"]] == [pod["metadata"]["name"] for pod in nsnet2.pods()]
    assert status["model"]["sha256"] == hashlib.sha256((models_dir / "nsnet2.onnx").read_bytes()).hexdigest()
    assert status["url"] == f"http://nsnet2.{nsnet2.namespace}.svc"


def test_a_changed_objective_reaches_the_running_pod_and_no_request_fails(
    nsnet2: Served, spectrum: Array, enhanced: Array
) -> None:
    (pod,) = nsnet2.pods()
    with SteadyLoad(nsnet2.service_ip(), "nsnet2", {"input": spectrum}, [{"output": enhanced}]) as load:
        wait_until(lambda: load.answers or load.failures, "the first answer under load")
        nsnet2.spec["slo"] = {"latency": "350ms", "percentile": 95}
        nsnet2.apply()
        wait_until(lambda: nsnet2.plan_of(pod)["slo"]["latency"] == "350ms", "the objective's reaching the pod")
        seen = load.answers
        wait_until(lambda: load.answers > seen + 10 or load.failures, "answers after the change")
    assert load.failures == []
    (same,) = nsnet2.pods()
    assert same["metadata"]["uid"] == pod["metadata"]["uid"]
    assert [container["restartCount"] for container in same["status"]["containerStatuses"]] == [0]
    jobs = nsnet2.cluster.list("Job", nsnet2.namespace, "chrion.dev/model=nsnet2")
    assert len(jobs) == 1


def test_a_deleted_pod_is_replaced(nsnet2: Served) -> None:
    (pod,) = nsnet2.pods()
    nsnet2.cluster.delete("Pod", pod["metadata"]["name"], nsnet2.namespace)

    def replaced() -> bool:
        pods = nsnet2.pods()
        return [one["metadata"]["uid"] for one in pods] != [pod["metadata"]["uid"]] and all(map(_ready, pods))

    wait_until(lambda: nsnet2.pods() and replaced(), "a new pod's being ready", deadline=PLANNING)
    nsnet2.wait_for("Serving")


def test_a_deployment_scaled_by_hand_is_set_right(nsnet2: Served) -> None:
    (deployment,) = nsnet2.cluster.list("Deployment", nsnet2.namespace, "chrion.dev/model=nsnet2")
    name = deployment["metadata"]["name"]
    subprocess.run(["kubectl", "-n", nsnet2.namespace, "scale", f"deployment/{name}", "--replicas=3"], check=True)

    def right() -> bool:
        now = nsnet2.cluster.get("Deployment", name, nsnet2.namespace)
        assert now
        return now["metadata"]["generation"] > deployment["metadata"]["generation"] and now["spec"]["replicas"] == 1

    wait_until(right, "the operator's setting the replicas right")
    wait_until(lambda: len(nsnet2.pods()) == 1, "the pods' going that were too many")


def _ready(pod: Object) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions") or ())
