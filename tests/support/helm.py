"""Releases of the chart on a real cluster, by Helm's own library."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helm_python import Config

from tests.support.chart import CHART, Object
from tests.support.cluster import Cluster

DEFINITION = "chrionmodels.chrion.dev"

KINDS_OF_A_NAMESPACE = ("ConfigMap", "Deployment", "Role", "RoleBinding", "Service", "ServiceAccount")
KINDS_OF_THE_CLUSTER = ("ClusterRole", "ClusterRoleBinding")


class Release:
    """One release of the chart."""

    def __init__(self, cluster: Cluster, name: str, namespace: str) -> None:
        self.name, self.namespace = name, namespace
        self._cluster = cluster
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

    def revisions(self) -> int:
        """How often it was installed or upgraded."""
        return len(self._config.history(self.name))

    def objects(self) -> list[Object]:
        """What there is of it in the cluster, beside the CustomResourceDefinition."""
        mine = f"app.kubernetes.io/instance={self.name}"
        return [
            each
            for kinds, namespace in ((KINDS_OF_A_NAMESPACE, None), (KINDS_OF_THE_CLUSTER, None))
            for kind in kinds
            for each in self._cluster.list(kind, namespace, mine)
        ]

    def close(self) -> None:
        """Uninstall it and let go of the connection."""
        self.uninstall()
        self._config.close()


@contextmanager
def adopted_definition(cluster: Cluster, release: Release) -> Iterator[None]:
    """The CustomResourceDefinition that the tests' cluster has, as if this release had installed it."""
    owned: Object = {
        "labels": {"app.kubernetes.io/managed-by": "Helm"},
        "annotations": {
            "meta.helm.sh/release-name": release.name,
            "meta.helm.sh/release-namespace": release.namespace,
        },
    }
    cluster.patch("CustomResourceDefinition", DEFINITION, None, {"metadata": owned})
    try:
        yield
    finally:
        free = {group: dict.fromkeys(entries) for group, entries in owned.items()}
        if cluster.get("CustomResourceDefinition", DEFINITION):
            cluster.patch("CustomResourceDefinition", DEFINITION, None, {"metadata": free})
