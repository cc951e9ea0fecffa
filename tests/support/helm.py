"""Releases of the chart on a real cluster, by Helm's own library."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.chart import CHART, Object
from tests.support.cluster import Cluster
from tests.support.waiting import wait_until

DEFINITION = "chrionmodels.chrion.dev"

KINDS = (
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "Deployment",
    "Role",
    "RoleBinding",
    "Service",
    "ServiceAccount",
)
"""The kinds of objects that a release may have."""


class Release:
    """One release of the chart."""

    def __init__(self, cluster: Cluster, name: str, namespace: str) -> None:
        self.name, self.namespace = name, namespace
        self._cluster = cluster
        from helm_python import Config  # not for all that import this: see `tests.support.chart.Chart`

        self._config = Config(kubeconfig_path=cluster.kubeconfig, namespace=namespace)

    def install(self, values: Mapping[str, Any], chart: Path = CHART) -> None:
        """As `helm install` does it; raises HelmError where the cluster refuses something."""
        self._config.install(chart, self.name, dict(values), namespace=self.namespace)

    def upgrade(self, values: Mapping[str, Any], chart: Path = CHART) -> None:
        """As `helm upgrade` does it."""
        self._config.upgrade(chart, self.name, dict(values), namespace=self.namespace)

    def uninstall(self) -> None:
        """As `helm uninstall` does it, where the release is still there."""
        self._config.uninstall(self.name, ignore_not_found=True)

    def test(self) -> str:
        """As `helm test --logs` does it; what the test's pods said. Raises HelmError where one fails."""
        return str(self._config.test(self.name, timeout=300, logs=True)["logs"])

    def revisions(self) -> int:
        """How often it was installed or upgraded."""
        return len(self._config.history(self.name))

    def objects(self) -> list[Object]:
        """What there is of it in the cluster, beside the CustomResourceDefinition."""
        mine = f"app.kubernetes.io/instance={self.name}"
        return [each for kind in KINDS for each in self._cluster.list(kind, selector=mine)]

    def close(self) -> None:
        """Uninstall it and let go of the connection."""
        self.uninstall()
        self._config.close()


@contextmanager
def without_definition(cluster: Cluster) -> Iterator[None]:
    """The CustomResourceDefinition is not there, so that a release can bring its own; afterwards it is as it was."""
    _remove_definition(cluster)
    try:
        yield
    finally:
        _remove_definition(cluster)
        cluster.apply_crds()


def _remove_definition(cluster: Cluster) -> None:
    cluster.delete("CustomResourceDefinition", DEFINITION)
    wait_until(lambda: cluster.get("CustomResourceDefinition", DEFINITION) is None, "the definition's going")
