"""What tests on a real control plane use: its access, a namespace of their own, and operators that they start."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.cluster import Cluster
from tests.support.operator import OperatorProcess

CRDS = Path(__file__).parents[2] / "crds"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("cluster")


@pytest.fixture(scope="session")
def control_plane() -> Cluster:
    """The control plane of `make test-cluster`, with Chrion's CRD."""
    kubeconfig = os.environ.get("KUBECONFIG")
    if not kubeconfig:
        pytest.skip(os.environ.get("CHRION_NO_CLUSTER", "needs a Kubernetes: `make test-cluster` makes one"))
    state = os.environ.get("CHRION_K8S_STATE")
    cluster = Cluster(Path(kubeconfig), Path(state) / "pid" if state else None)
    for path in sorted(CRDS.glob("*.yaml")):
        for manifest in yaml.safe_load_all(path.read_text()):
            cluster.apply(manifest)
            cluster.wait_for(
                "CustomResourceDefinition", manifest["metadata"]["name"], None, _established, "established"
            )
    return cluster


def _established(crd: dict) -> bool:
    return any(c["type"] == "Established" and c["status"] == "True" for c in crd["status"].get("conditions", ()))


@pytest.fixture
def make_namespace(control_plane: Cluster) -> Iterator[Callable[[], str]]:
    """Makes namespaces, which go with all that is in them when the test ends."""
    made: list[str] = []

    def make() -> str:
        name = f"test-{uuid.uuid4().hex[:8]}"
        control_plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        made.append(name)
        return name

    yield make
    for name in made:
        control_plane.delete("Namespace", name)


@pytest.fixture
def namespace(make_namespace: Callable[[], str]) -> str:
    """A namespace of the test's own."""
    return make_namespace()


@pytest.fixture
def start_operator(control_plane: Cluster, namespace: str, tmp_path: Path) -> Iterator[Callable[..., OperatorProcess]]:
    """Starts operators, as processes that watch the test's namespace and are killed when it ends.

    `start_operator(CHRION_WORKERS="1", …)` adds to their environment; it returns once the operator is ready.
    """
    started: list[OperatorProcess] = []

    def start(**environment: str) -> OperatorProcess:
        operator = OperatorProcess(
            control_plane.kubeconfig,
            tmp_path / f"operator-{len(started)}.log",
            {"CHRION_NAMESPACES": namespace, "CHRION_OPERATOR_NAMESPACE": namespace, **environment},
        )
        started.append(operator)
        operator.wait_for_words(READY)
        return operator

    yield start
    for operator in started:
        if operator.running():
            operator.kill()


READY = "ready"
"""What an operator says when its stores are filled and it works, or stands by."""
