"""Fixtures of tests on a real Kubernetes: access to it, namespaces, and operators; a conftest imports them."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.operator import OperatorProcess


@pytest.fixture(scope="session")
def control_plane() -> Cluster:
    """The Kubernetes that `make test-cluster` or `make test-e2e` makes, with Chrion's CRD."""
    kubeconfig = os.environ.get("KUBECONFIG")
    if not kubeconfig:
        pytest.skip(os.environ.get("CHRION_NO_CLUSTER", "needs a Kubernetes: see `make test-cluster` and `test-e2e`"))
    state = os.environ.get("CHRION_K8S_STATE")
    cluster = Cluster(Path(kubeconfig), Path(state) / "pid" if state else None)
    cluster.apply_crds()
    return cluster


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
    """Starts operators, each a process that looks after the test's namespace and is killed when the test ends.

    `start_operator(CHRION_WORKERS="1")` adds to its environment. It returns once the operator leads; with
    `standby=True` as soon as it has seen all there is.
    """
    started: list[OperatorProcess] = []

    def start(standby: bool = False, **environment: str) -> OperatorProcess:
        operator = OperatorProcess(
            control_plane.kubeconfig,
            tmp_path / f"operator-{len(started)}.log",
            {"CHRION_NAMESPACES": namespace, "CHRION_OPERATOR_NAMESPACE": namespace, **environment},
        )
        started.append(operator)
        operator.wait_until_ready(standby)
        return operator

    yield start
    for operator in started:
        operator.kill()
