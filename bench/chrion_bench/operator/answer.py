"""From apply to the first answer: how long it takes, and whose time that is."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from chrion_api.handover import PLANNED_ANNOTATION
from chrion_bench.operator.place import watched
from chrion_bench.operator.served_here import NAME, SHAPE, infer, nsnet2
from tests.support.cluster import Object, condition

NAMESPACE = "answer"
MOST_SECONDS = 600.0
OPERATOR, PLANNER, KUBERNETES, RUNTIME = "operator", "planner", "Kubernetes", "Kubernetes and runtime"

Say = Callable[[str], None]


class Steps:
    """When what was first seen, from watches."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}

    def saw(self, what: str) -> None:
        """Remember the first time."""
        self.at.setdefault(what, time.monotonic())

    def job(self, _: Object) -> None:
        """A Job is there."""
        self.saw("job")

    def pod(self, pod: Object) -> None:
        """A planner's container runs; a runtime's pod is ready."""
        component = pod["metadata"]["labels"].get("app.kubernetes.io/component")
        if component == "planner" and any(
            "running" in one["state"] or "terminated" in one["state"]
            for one in pod["status"].get("containerStatuses") or ()
        ):
            self.saw("planner")
        if component == "runtime" and condition(pod, "Ready"):
            self.saw("ready")

    def configmap(self, configmap: Object) -> None:
        """The plan is handed in."""
        if PLANNED_ANNOTATION in (configmap["metadata"].get("annotations") or {}):
            self.saw("plan")

    def deployment(self, _: Object) -> None:
        """The Deployment is there."""
        self.saw("deployment")


def answer(folder: Path, say: Say) -> dict[str, Any]:
    """Apply NSNet2 and ask until it answers."""
    steps = Steps()
    with nsnet2(folder, NAMESPACE) as place, ExitStack() as stack:
        for kind, seen in (
            ("Job", steps.job),
            ("Pod", steps.pod),
            ("ConfigMap", steps.configmap),
            ("Deployment", steps.deployment),
        ):
            stack.enter_context(watched(place.model.cluster, kind, NAMESPACE, seen))
        began = time.monotonic()
        place.model.apply()
        while not (service := place.model.cluster.get("Service", NAME, NAMESPACE)):
            _pause(began)
        while not infer(service["spec"]["clusterIP"], place.value):
            _pause(began)
        steps.saw("answer")
    named = (
        ("job", "applied to the planner's Job", OPERATOR),
        ("planner", "to the planner's start, the model fetched", KUBERNETES),
        ("plan", "to the plan", PLANNER),
        ("deployment", "to the Deployment", OPERATOR),
        ("ready", "to a ready pod, the model fetched and loaded", RUNTIME),
        ("answer", "to the first answer over the Service", KUBERNETES),
    )
    found, before = [], began
    for name, what, whose in named:
        found.append({"what": what, "whose": whose, "seconds": steps.at[name] - before})
        before = steps.at[name]
        say(f"{found[-1]['seconds']:7.2f} s {what}")
    return {
        "model": f"NSNet2, {'×'.join(map(str, SHAPE))}",
        "firstAnswerSeconds": steps.at["answer"] - began,
        "operatorSeconds": sum(step["seconds"] for step in found if step["whose"] == OPERATOR),
        "steps": found,
    }


def _pause(began: float) -> None:
    if time.monotonic() - began > MOST_SECONDS:
        raise TimeoutError(f"{NAME} did not answer within {MOST_SECONDS:.0f} s")
    time.sleep(0.05)
