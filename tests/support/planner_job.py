"""Plays the planner's Job on a control plane without nodes: hands in a real plan, or fails as the Job would."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.cluster import Cluster, Object
from tests.support.waiting import wait_until

PLAN = (Path(__file__).parent / "data" / "nsnet2.plan.json").read_text()
"""What `chrion plan` made of NSNet2 on two cores."""
PLAN_MODEL = json.loads(PLAN)["model"]


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class PlannerJob:
    """The planner's Job of one model, by the labels that the operator gives it; the only one there is."""

    def __init__(self, cluster: Cluster, namespace: str, model: str) -> None:
        self._cluster, self._namespace, self._model = cluster, namespace, model

    def wait(self, test: Callable[[Object], Any] = lambda _: True) -> Object:
        """The Job, as soon as there is exactly one that passes `test`."""

        def probe() -> Object | None:
            selector = f"chrion.dev/model={self._model},app.kubernetes.io/component=planner"
            jobs = [job for job in self._cluster.list("Job", self._namespace, selector) if test(job)]
            return jobs[0] if len(jobs) == 1 else None

        found = wait_until(probe, f"a planner's Job of {self._model}")
        assert found
        return found

    def configmap(self) -> Object:
        """The ConfigMap that it writes."""
        cls = self.wait()["metadata"]["labels"]["chrion.dev/node-class"]
        return self._cluster.wait_for(
            "ConfigMap", f"{self._model}-plan-{cls}", self._namespace, lambda _: True, "being there"
        )

    def hand_in(self, plan: str = PLAN) -> str:
        """Write a plan as the planner does, and end well; returns the revision."""
        job = self.wait()
        revision: str = self.configmap()["metadata"]["annotations"]["chrion.dev/revision"]
        patch = {"metadata": {"annotations": {"chrion.dev/planned": revision}}, "data": {"plan.json": plan}}
        self._patch_configmap(patch)
        self.end(job, "Complete")
        return revision

    def progress(self, percent: int, doing: str) -> None:
        """Say how far it is."""
        revision = self.configmap()["metadata"]["annotations"]["chrion.dev/revision"]
        text = json.dumps({"percent": percent, "doing": doing, "revision": revision})
        self._patch_configmap({"metadata": {"annotations": {"chrion.dev/progress": text}}})

    def end(self, job: Object, condition: str, reason: str = "", message: str = "") -> None:
        """Give the Job a condition such as Complete or Failed."""
        status: Object = {
            "conditions": [
                {
                    "type": condition,
                    "status": "True",
                    "reason": reason,
                    "message": message,
                    "lastProbeTime": now(),
                    "lastTransitionTime": now(),
                }
            ]
        }
        if condition == "Complete":
            status |= {"completionTime": now(), "startTime": now(), "succeeded": 1}
        self._cluster.patch("Job", job["metadata"]["name"], self._namespace, {"status": status}, status=True)

    def _patch_configmap(self, patch: Object) -> None:
        name = self.configmap()["metadata"]["name"]
        self._cluster.patch("ConfigMap", name, self._namespace, patch)
