"""A ConfigMap that a planner may touch, through the official Kubernetes client."""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from chrion.errors import UsageError
from chrion_api import ChrionError

T = TypeVar("T")

_TIMEOUT = (5, 20)
_BRIEF = (1, 2)
"""Seconds to connect and to read: for what must be done, and for progress."""
_MERGE = "application/merge-patch+json"


class ClusterError(ChrionError):
    """The API server refuses what the planner asks of it, or does not answer for minutes."""


class ConfigMapConflict(ClusterError):
    """The ConfigMap has changed since it was read."""


class ConfigMapGone(ClusterError):
    """There is no such ConfigMap: its ChrionModel was deleted."""


@dataclass(frozen=True)
class Persistence:
    """How long the API server is asked again, in seconds; it may be restarted meanwhile."""

    seconds: float = 300.0
    first: float = 0.5
    longest: float = 10.0


class ConfigMap:
    """A ConfigMap in the cluster that this pod runs in, or that KUBECONFIG names."""

    def __init__(self, reference: str, persistence: Persistence | None = None) -> None:
        """`reference` is NAMESPACE/NAME. Raises UsageError."""
        self.namespace, _, self.name = reference.partition("/")
        if not self.namespace or not self.name or "/" in self.name:
            raise UsageError(f'"{reference}" is not a ConfigMap; write NAMESPACE/NAME')
        self._persistence = persistence or Persistence()
        self._key = self.name, self.namespace
        self._api = _api()

    def read(self) -> dict[str, Any]:
        """The object as plain JSON data. Raises ClusterError, ConfigMapGone."""
        found = self._persist(lambda: self._api.read_namespaced_config_map(*self._key, _request_timeout=_TIMEOUT))
        data: dict[str, Any] = self._api.api_client.sanitize_for_serialization(found)
        return data

    def patch(self, patch: Mapping[str, Any]) -> None:
        """Apply a merge patch. Raises ClusterError, ConfigMapGone, ConfigMapConflict."""
        self._persist(lambda: self._patch(patch, _TIMEOUT))

    def try_patch(self, patch: Mapping[str, Any]) -> bool:
        """Apply a merge patch unless that takes long or fails; whether it was applied."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            self._patch(patch, _BRIEF)
        except (ApiException, HTTPError, OSError):
            return False
        return True

    def _patch(self, patch: Mapping[str, Any], timeout: tuple[int, int]) -> None:
        self._api.patch_namespaced_config_map(*self._key, dict(patch), _request_timeout=timeout)

    def _persist(self, call: Callable[[], T]) -> T:
        """Call until it works or nothing can be hoped for any more."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError, LocationValueError

        what = f"ConfigMap {self.namespace}/{self.name}"
        deadline, pause = time.monotonic() + self._persistence.seconds, self._persistence.first
        while True:
            try:
                return call()
            except ApiException as error:
                said = _message(error)
                if error.status == 404:
                    raise ConfigMapGone(f"{what} does not exist: was its ChrionModel deleted?") from None
                if error.status == 409:
                    raise ConfigMapConflict(f"{what} has changed: {said}") from None
                if error.status in (400, 413, 422):
                    raise ClusterError(f"{what} cannot be patched: {said}") from None
            except LocationValueError as error:
                raise UsageError(f"the API server's address cannot be used: {error}; correct host and port") from None
            except (HTTPError, OSError) as error:
                said = " ".join(str(error).split())[:300]
            # 403 too: a Role may be newer than what the API server knows of it.
            if time.monotonic() + pause > deadline:
                raise ClusterError(f"{what}: the API server does not allow it to be read or patched: {said}")
            time.sleep(pause)
            pause = min(2 * pause, self._persistence.longest)


def _message(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, TypeError, KeyError):
        return f"{error.status} {error.reason}"


def _api() -> Any:
    """The client's core API. Raises UsageError where it or a cluster is missing."""
    try:
        from kubernetes import client, config
    except ImportError:
        raise UsageError("the Kubernetes client is not installed; install chrion[cluster]") from None
    configuration = client.Configuration()
    loaders: Any = config
    try:
        if named := os.environ.get("KUBECONFIG"):
            loaders.load_kube_config(named, client_configuration=configuration)
        else:
            loaders.load_incluster_config(client_configuration=configuration)
    except config.ConfigException as error:
        raise UsageError(f"no cluster to write the plan to: {error}; set KUBECONFIG, or run in a pod") from None
    configuration.retries = False  # we do that
    api_client: Any = client.ApiClient(configuration)
    api_client.set_default_header("Content-Type", _MERGE)  # each version of the client has its own way to name it
    return client.CoreV1Api(api_client)
