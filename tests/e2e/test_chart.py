"""The chart on a node: its operator runs as a pod, by its own account alone, and `helm test` infers."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import images
from tests.e2e.model_server import ModelServer
from tests.support.chart import CHART
from tests.support.cluster import Cluster, Object, condition
from tests.support.helm import Release

NAME = "chrion"


@pytest.fixture
def whole_chart(tmp_path: Path, models: ModelServer) -> Path:
    """The chart, whose own pods get the folders too that make the near-empty image whole."""
    copy = tmp_path / "chrion"
    shutil.copytree(CHART, copy)
    pod = images.pod_template(models.certificate)["spec"]
    mounts, volumes = pod["containers"][0]["volumeMounts"], pod["volumes"]
    add(copy / "templates" / "deployment.yaml", "            - {name: tmp, mountPath: /tmp}\n", mounts)
    add(copy / "templates" / "deployment.yaml", "          emptyDir: {sizeLimit: 64Mi}\n", volumes)
    add(
        copy / "templates" / "tests" / "model.yaml",
        "        - {name: test, mountPath: /test, readOnly: true}\n",
        mounts,
    )
    add(copy / "templates" / "tests" / "model.yaml", "      configMap: {name: {{ $name }}}\n", volumes)
    return copy


def add(template: Path, behind: str, entries: list[Any]) -> None:
    """Put entries of a list behind the last line of an entry that is there."""
    text = template.read_text(encoding="utf-8")
    assert text.count(behind) == 1, f"{template.name} has changed: {behind!r}"
    indent = len(behind) - len(behind.lstrip()) - (0 if behind.lstrip().startswith("-") else 2)
    lines = "".join(f"{' ' * indent}- {json.dumps(entry)}\n" for entry in entries)
    template.write_text(text.replace(behind, behind + lines), encoding="utf-8")


@pytest.fixture
def release(node: Cluster, namespace: str) -> Iterator[Release]:
    """A release that is not installed yet; it is gone when the test ends."""
    made = Release(node, NAME, namespace)
    yield made
    made.close()


def is_available(deployment: Object) -> bool:
    return condition(deployment, "Available")


def test_helm_test_infers(
    node: Cluster,
    models: ModelServer,
    release: Release,
    whole_chart: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    python = ["python3", "-m", "chrion_operator"]
    operator = images.import_image(tmp_path_factory.mktemp("operator"), "localhost/chrion-operator:e2e", python)
    parts = dict.fromkeys(("planner", "plannerGpu", "runtime", "runtimeGpu"), images.IMAGE)
    values = {
        "crds": {"install": False},
        "watchNamespaces": [release.namespace],
        "images": {"operator": operator, **parts, "pullPolicy": "Never"},
        # As the other operator of these tests has it, which looks after all namespaces: both then write the same.
        "models": {"podTemplate": images.pod_template(models.certificate), "fetchAllow": [models.address]},
        # The API server of these tests takes no empty text in a ChrionModel, such as gpuResource: "".
        "test": {"model": True, "spec": {"devices": {"gpuResource": "nvidia.com/gpu"}}},
    }
    release.install(values, whole_chart)
    node.wait_for("Deployment", f"{NAME}-operator", release.namespace, is_available, "the operator's being ready")
    log = release.test()
    assert "Ready=True" in log
    assert "all as expected" in log
    assert node.get("ChrionModel", f"{NAME}-test", release.namespace) is None, "what the test made was removed"
