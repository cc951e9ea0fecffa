"""Tests on a real control plane: `make test-cluster`."""

from pathlib import Path

import pytest

from tests.support.cluster_fixtures import control_plane, make_namespace, namespace, start_operator

__all__ = ["control_plane", "make_namespace", "namespace", "start_operator"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("cluster")
