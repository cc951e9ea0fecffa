"""Tests of the whole on a node with real pods: `make test-e2e`.

One operator, a process on the node, looks after all namespaces; planners and runtimes are pods, as users have them.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import images
from tests.e2e.model_server import NODE_ADDRESS, ModelServer
from tests.support.cluster import Cluster
from tests.support.cluster_fixtures import control_plane
from tests.support.operator import OperatorProcess
from tests.support.waiting import wait_until

__all__ = ["control_plane"]

OPERATOR_NAMESPACE = "chrion-system"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("e2e")


@pytest.fixture(scope="session")
def node(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The cluster with its one node, which has the image of the pods under test."""
    addresses = [
        address["address"] for node in control_plane.list("Node") for address in node["status"].get("addresses", ())
    ]
    if NODE_ADDRESS not in addresses:
        pytest.skip("needs the node of `make test-e2e`, into which it puts an image")
    images.import_image(tmp_path_factory.mktemp("image"))
    return control_plane


@pytest.fixture(scope="session")
def models(node: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """The server that pods fetch models from."""
    folder = tmp_path_factory.mktemp("certificates")
    folder.chmod(0o755)  # it is mounted into pods, which are not root
    server = ModelServer(NODE_ADDRESS, folder)
    yield server
    server.close()


@pytest.fixture(scope="session")
def operator(node: Cluster, models: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """An operator that looks after all namespaces and starts pods of this checkout."""
    node.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR_NAMESPACE}})
    process = OperatorProcess(
        node.kubeconfig,
        tmp_path_factory.mktemp("operator") / "operator.log",
        {
            "CHRION_OPERATOR_NAMESPACE": OPERATOR_NAMESPACE,
            "CHRION_FETCH_ALLOW": NODE_ADDRESS,
            "CHRION_SCRAPE_SECONDS": "1",
            **images.settings(models.certificate),
        },
    )
    process.wait_until_ready()
    yield process
    process.kill()


@pytest.fixture(scope="module")
def namespace(node: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test module's own."""
    name = request.module.__name__.rpartition(".")[2].replace("_", "-")
    node.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    wait_until(lambda: node.get("ServiceAccount", "default", name), "the namespace's account")
    yield name
    node.delete("Namespace", name)
