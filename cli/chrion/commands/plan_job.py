"""`chrion plan-job`: plan a model in a pod by its ChrionModel, and hand the plans in to the operator."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from chrion import planning
from chrion.errors import UsageError
from chrion.planning import PlanningTask
from chrion.pod.config_map import ConfigMap, ConfigMapConflict
from chrion.pod.figures import SharedFigures
from chrion.pod.payload import plan_of, plan_patch, progress_patch, wanted_revision
from chrion.pod.termination import Superseded, last_words, terminating
from chrion.progress import Display
from chrion_api import ChrionModelSpec, PlanFile, Reason
from chrion_api.handover import PlanProgress, Termination
from chrion_graph.load import digest

_PATCH_SECONDS = 2.0
_LONGEST_SECONDS = 30.0
"""How often progress is told, and how seldom at least where the API server does not answer."""


def command(
    model: Annotated[Path, typer.Option("--model", metavar="MODEL.onnx", help="The ONNX file, as fetched.")],
    spec_env: Annotated[
        str,
        typer.Option(
            "--spec-env", metavar="VARIABLE", help="The environment variable that holds ChrionModel.spec as JSON."
        ),
    ],
    config_map: Annotated[
        str, typer.Option("--config-map", metavar="NAMESPACE/NAME", help="The ConfigMap to write the plans to.")
    ],
    revision: Annotated[str, typer.Option("--revision", metavar="REV", help="The revision that the plans are for.")],
    figures: Annotated[
        str | None,
        typer.Option(
            "--figures",
            metavar="NAMESPACE/NAME",
            envvar="CHRION_FIGURES",
            help="The ConfigMap that keeps measurements of devices for other runs.",
        ),
    ] = None,
) -> None:
    """Plan a model by the spec of its ChrionModel, and write progress and plans to a ConfigMap.

    The cluster is the one that this pod runs in, or that of KUBECONFIG. If the ConfigMap already holds the plans of
    this revision, nothing is done. The exit code is 42 if trying again is pointless, and 1 if it may help.
    """
    with terminating(Reason.PLANNER_FAILED):
        spec = _spec(spec_env)
        hand = ConfigMap(config_map)
        found = hand.read()
        _check_wanted(found, revision)
        plan = plan_of(found, revision)
        if plan is None or plan.model != digest(model):
            plan = _plan(spec, model, hand, revision, SharedFigures(figures) if figures else None)
            _hand_in(hand, plan, revision)
            text = f"planned: {len(plan.buckets)} buckets"
        else:
            text = "already planned"
        typer.echo(text)
        last_words(Termination(reason=Reason.SUCCEEDED, message=text, sha256=plan.model))


def _spec(variable: str) -> ChrionModelSpec:
    text = os.environ.get(variable)
    if text is None:
        raise UsageError(f"--spec-env: {variable} is not set; set it to the JSON of ChrionModel.spec")
    return ChrionModelSpec.from_json(text, "spec")


def _plan(
    spec: ChrionModelSpec, model: Path, hand: ConfigMap, revision: str, figures: SharedFigures | None
) -> PlanFile:
    with Display() as display:
        teller = _Teller(hand, revision, display)
        task = PlanningTask.of(spec, model, progress=teller.progress, warn=display.warn)
        return planning.cached_plan(replace(task, figures=figures) if figures else task)[0]


def _hand_in(hand: ConfigMap, plan: PlanFile, revision: str) -> None:
    """Patch the plans in, unless the operator wants others by now."""
    while True:
        found = hand.read()
        _check_wanted(found, revision)
        try:
            return hand.patch(plan_patch(plan, revision, found["metadata"]["resourceVersion"]))
        except ConfigMapConflict:
            continue


def _check_wanted(config_map: dict[str, object], revision: str) -> None:
    wanted = wanted_revision(config_map)
    if wanted not in (None, revision):
        raise Superseded(f"revision {wanted} is wanted now, but this job plans {revision}")


class _Teller:
    """Writes progress to the log and, now and then, to the ConfigMap."""

    def __init__(self, hand: ConfigMap, revision: str, display: Display) -> None:
        self._hand = hand
        self._revision = revision
        self._display = display
        self._pause = _PATCH_SECONDS
        self._next = 0.0

    def progress(self, what: str, done: float) -> None:
        """Take news from the planner, who waits meanwhile: nothing else runs while it measures."""
        percent = min(99, int(100 * done))
        self._display.progress(what, done)
        if time.monotonic() < self._next:
            return
        told = self._hand.try_patch(progress_patch(PlanProgress(percent=percent, doing=what, revision=self._revision)))
        self._pause = _PATCH_SECONDS if told else min(2 * self._pause, _LONGEST_SECONDS)
        self._next = time.monotonic() + self._pause
