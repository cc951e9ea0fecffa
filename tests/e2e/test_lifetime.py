"""What comes and goes with a model: from where it may be taken, its replacement under load, and its end."""

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from chrion_models.families import find
from tests.e2e.load import Array, SteadyLoad
from tests.e2e.model_server import ModelServer
from tests.e2e.served import SMALL_INPUTS, SMALL_SHAPE, Served, ask
from tests.support.cluster import Cluster
from tests.support.operator import OperatorProcess
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def first() -> onnx.ModelProto:
    """A small model."""
    return find("lstm-bidirectional-l2-h16-s8-b2").build()


@pytest.fixture(scope="module")
def second(first: onnx.ModelProto) -> onnx.ModelProto:
    """The same model, trained on: its answers are others."""
    other = onnx.ModelProto()
    other.CopyFrom(first)
    for weight in other.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype == np.float32:
            weight.CopyFrom(onnx.numpy_helper.from_array(values * np.float32(0.5), weight.name))
    return other


@pytest.fixture(scope="module")
def value() -> Array:
    """An input of both."""
    return np.random.default_rng(0).standard_normal(SMALL_SHAPE).astype(np.float32)


@pytest.fixture
def served(
    node: Cluster, operator: OperatorProcess, models: ModelServer, namespace: str, first: onnx.ModelProto
) -> Iterator[Served]:
    """The first model, served by two replicas."""
    served = Served(node, namespace, "small", models.add("first.onnx", first.SerializeToString()), inputs=SMALL_INPUTS)
    served.spec["runtime"] = {**served.spec["runtime"], "replicas": 2}
    served.apply()
    served.wait_for("Serving")
    yield served
    served.delete()


def answers(model: onnx.ModelProto, value: Array) -> dict[str, Array]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, map(np.asarray, session.run(names, {"input": value})), strict=True))


def test_another_model_takes_over_under_load_and_no_request_fails(
    served: Served, models: ModelServer, first: onnx.ModelProto, second: onnx.ModelProto, value: Array
) -> None:
    before, after = answers(first, value), answers(second, value)
    old = {pod["metadata"]["uid"] for pod in served.pods()}
    with SteadyLoad(served.service_ip(), "small", {"input": value}, [before, after]) as load:
        wait_until(lambda: load.answers or load.failures, "the first answer under load")
        served.spec["model"] = {"uri": models.add("second.onnx", second.SerializeToString())}
        served.apply()
        served.wait_for("Serving", "False")
        assert served.condition("Ready")["status"] == "True"
        served.wait_for("Serving")
        wait_until(
            lambda: not old & {pod["metadata"]["uid"] for pod in served.all_pods()}, "the old pods' going", deadline=120
        )
        seen = load.answers
        wait_until(lambda: load.answers > seen + 10 or load.failures, "answers of the new model alone")
    assert load.failures == []
    assert len(served.pods()) == 2


def test_two_replicas_on_one_node_keep_to_their_own_cores(served: Served) -> None:
    pods = served.pods()
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 1
    for pod in pods:
        lanes = {
            lane
            for bucket in served.plan_of(pod)["buckets"]
            for stage in bucket["plan"]["stages"]
            for lane in stage["lanes"]
        }
        assert lanes == {"cpu/0"}


def test_a_small_model_comes_from_a_configmap_and_goes_without_a_trace(
    node: Cluster, operator: OperatorProcess, namespace: str, first: onnx.ModelProto
) -> None:
    content = base64.b64encode(first.SerializeToString()).decode()
    metadata = {"name": "weights", "namespace": namespace}
    node.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": {"model.onnx": content}})
    served = Served(node, namespace, "tiny", "configmap://weights/model.onnx", inputs=SMALL_INPUTS)
    served.apply()
    served.wait_for("Ready")
    about = ask(served.service_ip(), "/v2/models/tiny")
    assert about["name"] == "tiny"
    assert served.owned()
    served.delete()
    assert node.get("ConfigMap", "weights", namespace), "what is not ours stays"


def test_a_model_comes_from_a_volume_claim(
    node: Cluster,
    operator: OperatorProcess,
    namespace: str,
    first: onnx.ModelProto,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder: Path = tmp_path_factory.mktemp("volume")
    folder.chmod(0o755)
    (folder / "models").mkdir()
    (folder / "models" / "small.onnx").write_bytes(first.SerializeToString())
    size = {"storage": "1Gi"}
    node.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{namespace}-models"},
            "spec": {
                "capacity": size,
                "accessModes": ["ReadOnlyMany"],
                "storageClassName": "by-hand",
                "hostPath": {"path": str(folder)},
            },
        }
    )
    node.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "models", "namespace": namespace},
            "spec": {
                "accessModes": ["ReadOnlyMany"],
                "storageClassName": "by-hand",
                "volumeName": f"{namespace}-models",
                "resources": {"requests": size},
            },
        }
    )
    served = Served(node, namespace, "from-a-claim", "pvc://models/models/small.onnx", inputs=SMALL_INPUTS)
    served.apply()
    served.wait_for("Ready")
    served.delete()
    node.delete("PersistentVolumeClaim", "models", namespace)
    node.delete("PersistentVolume", f"{namespace}-models")
