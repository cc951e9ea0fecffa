"""Pods of the chart keep the restricted pod security standard, and more."""

from typing import Any

import pytest

from tests.chart.value_sets import VALUE_SETS
from tests.support.chart import Chart, Object, render

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
"""Kinds of volume that the restricted standard allows."""


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_pods_are_restricted(chart: Chart, values: dict[str, Any]) -> None:
    for kind, pod in render(chart, values).pods():
        assert_restricted(pod, kind)
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert {"requests", "limits"} <= container["resources"].keys()


def assert_restricted(pod: Object, where: str) -> None:
    """Fails where a pod spec breaks the restricted standard of pod security."""
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True, where
    assert security["runAsUser"] > 0, where
    assert security["seccompProfile"]["type"] == "RuntimeDefault", where
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), where
    for volume in pod.get("volumes", []):
        assert volume.keys() - {"name"} <= VOLUMES, where
    for container in pod["containers"] + pod.get("initContainers", []):
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False, where
        assert own["capabilities"] == {"drop": ["ALL"]}, where
        assert not own.get("privileged"), where
        assert not any("hostPort" in port for port in container.get("ports", [])), where


def test_probes_and_ports_are_the_same(chart: Chart) -> None:
    (container,) = render(chart, {}).one("Deployment")["spec"]["template"]["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in ports
    assert {port["targetPort"] for port in render(chart, {}).one("Service")["spec"]["ports"]} <= ports


def test_only_pods_that_need_a_token_have_one(chart: Chart) -> None:
    assert render(chart, {}).one("ServiceAccount")["automountServiceAccountToken"] is False
    assert render(chart, {}).one("Deployment")["spec"]["template"]["spec"]["automountServiceAccountToken"] is True
    assert render(chart, {}).one("Pod")["spec"]["automountServiceAccountToken"] is False
