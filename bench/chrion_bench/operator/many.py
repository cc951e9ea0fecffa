"""Many ChrionModels at once, on a control plane alone: how long until all are reconciled, and what that takes."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from chrion_bench.operator.place import (
    CHECKOUT,
    chrion_model,
    cluster,
    condition,
    counted,
    cpu_seconds,
    memory,
    namespace,
    operator,
    watched,
)
from tests.support.cluster import Cluster, Object
from tests.support.operator import OperatorProcess

PLAN = CHECKOUT / "tests" / "support" / "data" / "nsnet2.plan.json"
"""A real plan, which every planner hands in."""
NAMESPACE = "many"
SETTLE_SECONDS, IDLE_SECONDS, MOST_SECONDS = 10.0, 40.0, 600.0
APPLYING = 8
"""Connections over which they are applied."""
REQUESTS = "chrion_operator_api_requests_total"
SERVED = "apiserver_request_total"
OWN_GROUPS = ("coordination.k8s.io", "chrion.dev")
"""API groups that nobody but the operator asks for, on a control plane without nodes."""

Say = Callable[[str], None]


def many(count: int, say: Say) -> dict[str, Any]:
    """Apply `count` models, wait for all, then watch what the operator does when there is nothing to do."""
    where = cluster()
    with namespace(where, NAMESPACE), operator(where, {}) as process:
        at_first = memory(process)[0]
        with planners(NAMESPACE):
            began, applied, reconciled = reconcile(where, NAMESPACE, count, say)
            busy = {"cpuSeconds": cpu_seconds(process), "requests": counted(process.metrics(), REQUESTS)}
            settled = _settle(process) - began
            now, most = memory(process)
            idle = _idle(where, process)
        made = {kind: len(where.list(kind, NAMESPACE)) for kind in ("Deployment", "Service", "Job", "ConfigMap")}
    times = sorted(at - began for at in reconciled.values())
    return {
        "models": count,
        "made": made,
        "appliedSeconds": applied - began,
        "reconciledSeconds": {"half": times[len(times) // 2], "all": times[-1]},
        "settledSeconds": settled,
        "operator": {"memoryBefore": at_first, "memoryAfter": now, "memoryPeak": most, **busy},
        "idle": idle,
    }


@contextmanager
def planners(*namespaces: str) -> Iterator[None]:
    """Hands in a plan for every planner's Job of some namespaces, until the context ends."""
    stand_in = subprocess.Popen([sys.executable, "-m", "chrion_bench.operator.planner_stand_in", PLAN, *namespaces])
    try:
        yield
    finally:
        stand_in.kill()
        stand_in.wait()


def reconcile(where: Cluster, in_namespace: str, count: int, say: Say) -> tuple[float, float, dict[str, float]]:
    """Apply `count` models at once, and wait for all.

    When the first was applied, when the last, and when each was seen to be reconciled."""
    reconciled: dict[str, float] = {}
    all_there = threading.Event()

    def seen(model: Object) -> None:
        if condition(model, "Planned").get("status") == "True":
            reconciled.setdefault(model["metadata"]["name"], time.monotonic())
            if len(reconciled) == count:
                all_there.set()

    spec = {"model": {"uri": "https://models.example.com/model.onnx"}}
    assert not where.list("ChrionModel", in_namespace)
    with watched(where, "ChrionModel", in_namespace, seen):
        began = time.monotonic()
        with ThreadPoolExecutor(APPLYING) as pool:
            names = (f"model-{number:04}" for number in range(count))
            for _ in pool.map(lambda name: where.create_or_merge(chrion_model(name, in_namespace, spec)), names):
                pass
        applied = time.monotonic()
        say(f"{count} applied in {applied - began:.1f} s")
        if not all_there.wait(MOST_SECONDS):
            raise TimeoutError(f"only {len(reconciled)} of {count} models were reconciled in {MOST_SECONDS:.0f} s")
    say(f"all reconciled after {max(reconciled.values()) - began:.1f} s")
    return began, applied, reconciled


def _settle(process: OperatorProcess) -> float:
    """When the operator had nothing more to ask: Deployments and pods still come, and it tells of them."""
    asked, since = -1.0, time.monotonic()
    ends = since + MOST_SECONDS
    while time.monotonic() < min(since + SETTLE_SECONDS, ends):
        time.sleep(0.5)
        now = sum(counted(process.metrics(), REQUESTS).values())
        if now != asked:
            asked, since = now, time.monotonic()
    return since


def _idle(where: Cluster, process: OperatorProcess) -> dict[str, Any]:
    """What the operator asks of the API server while there is nothing to do."""
    cpu, before = cpu_seconds(process), _asked(where, process)
    time.sleep(IDLE_SECONDS)
    asked = {name: count - before[name] for name, count in _asked(where, process).items()}
    return {
        "seconds": IDLE_SECONDS,
        "requestsPerSecond": sum(asked.values()) / IDLE_SECONDS,
        "requests": asked,
        "cpuSeconds": cpu_seconds(process) - cpu,
    }


def _asked(where: Cluster, process: OperatorProcess) -> dict[str, float]:
    """Requests so far: those that the operator counts, and by the server's count those of its lease and our group."""
    served = counted(where.metrics(), SERVED)
    by_group = {
        group: sum(count for labels, count in served.items() if f'group="{group}"' in labels) for group in OWN_GROUPS
    }
    return {"counted by the operator": sum(counted(process.metrics(), REQUESTS).values()), **by_group}
