"""Where the operator is measured: the cluster that KUBECONFIG names, and an operator that is a process of its own."""

import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes.client

from tests.support.cluster import Cluster, Object
from tests.support.operator import OperatorProcess

CHECKOUT = Path(__file__).resolve().parents[3]
OPERATOR_NAMESPACE = "chrion-system"


def cluster() -> Cluster:
    """The cluster that tests/cluster/kubernetes/run.sh made, with Chrion's CRD."""
    found = Cluster(Path(os.environ["KUBECONFIG"]), Path(os.environ["CHRION_K8S_STATE"]) / "pid")
    found.apply_crds()
    return found


def server_version() -> str:
    """The API server's version."""
    api_client = Cluster(Path(os.environ["KUBECONFIG"]), None).api_client
    return str(kubernetes.client.VersionApi(api_client).get_code().git_version)


@contextmanager
def operator(where: Cluster, environment: Mapping[str, str]) -> Iterator[OperatorProcess]:
    """An operator that looks after all namespaces and leads, until the context ends."""
    where.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR_NAMESPACE}})
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "operator.log"
        process = OperatorProcess(
            where.kubeconfig, log, {"CHRION_OPERATOR_NAMESPACE": OPERATOR_NAMESPACE, **environment}
        )
        try:
            process.wait_until_ready()
            yield process
        finally:
            process.kill()


@contextmanager
def namespace(where: Cluster, name: str) -> Iterator[str]:
    """A namespace, made where it is not there, and then deleted at the end."""
    ours = where.get("Namespace", name) is None
    if ours:
        where.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        yield name
    finally:
        if ours:
            where.delete("Namespace", name)


@contextmanager
def watched(where: Cluster, kind: str, in_namespace: str, seen: Callable[[Object], None]) -> Iterator[None]:
    """Calls `seen(object)` for what is there and whatever changes, from a thread, until the context ends."""
    ended = threading.Event()

    def watch() -> None:
        for event in where.events(kind, in_namespace):
            if ended.is_set():
                return
            seen(event["raw_object"])

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def memory(process: OperatorProcess) -> tuple[int, int]:
    """Bytes that a process holds now, and the most it ever held."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    now, most = (re.search(rf"{name}:\s+(\d+) kB", status) for name in ("VmRSS", "VmHWM"))
    assert now
    assert most
    return int(now[1]) << 10, int(most[1]) << 10


def cpu_seconds(process: OperatorProcess) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def counted(metrics: str, name: str) -> dict[str, float]:
    """The values of a counter by its labels, from a page of Prometheus metrics."""
    found = re.findall(rf"^{name}(\{{[^}}]*\}})? ([0-9.e+]+)$", metrics, re.MULTILINE)
    return {labels.strip("{}"): float(value) for labels, value in found}


def chrion_model(name: str, in_namespace: str, spec: Mapping[str, Any]) -> Object:
    """The manifest of a ChrionModel."""
    return {
        "apiVersion": "chrion.dev/v1alpha1",
        "kind": "ChrionModel",
        "metadata": {"name": name, "namespace": in_namespace},
        "spec": dict(spec),
    }


def condition(model: Object, kind: str) -> Object:
    """A condition said of the model's present spec; empty where there is none."""
    status = model.get("status") or {}
    if status.get("observedGeneration") != model["metadata"]["generation"]:
        return {}
    return next((one for one in status.get("conditions") or () if one["type"] == kind), {})
