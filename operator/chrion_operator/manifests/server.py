"""Server: what the API server knows, on which some manifests depend."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Server:
    """What the API server says of itself, by its version and its discovery."""

    minor: int
    """The minor version: 30 for Kubernetes 1.30."""
    has_pdb_v1: bool = True
    """Whether it serves PodDisruptionBudgets as policy/v1 (1.21); before, they were v1beta1."""
    has_service_monitor: bool = False
    """Whether the Prometheus operator's ServiceMonitor is installed."""

    @property
    def has_suspended_jobs(self) -> bool:
        """Whether Jobs may be created suspended, as Kueue wants them."""
        return self.minor >= 22

    @property
    def has_pod_failure_policy(self) -> bool:
        """Whether a Job may tell failures that are for good from others."""
        return self.minor >= 26

    @property
    def has_image_volumes(self) -> bool:
        """Whether a volume may be an OCI image."""
        return self.minor >= 31
