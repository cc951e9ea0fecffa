"""Profiling in the process of the test, on a machine that nothing disturbs, with a record of what is measured."""

import pytest

from chrion_api import ONNXRUNTIME
from chrion_graph.model_worker import ModelWorker
from chrion_planner import reference
from chrion_planner.profiling import calibrate, nodes, parts, profile, whole_graphs
from chrion_planner.reference import Look

CALM = Look(lost=0.0, seconds=1.0)
EVERYTHING = {"calibrated", "node_cost", "measured_run"}


def profiling_here(monkeypatch: pytest.MonkeyPatch, look: Look = CALM) -> list[str]:
    """What profiling measures from now on, as it measures it: names of EVERYTHING; every reference run finds `look`.

    By ONNX Runtime alone: other engines leave threads behind.
    """
    measured: list[str] = []
    for module, name in ((nodes, "node_cost"), (whole_graphs, "measured_run"), (calibrate, "calibrated")):
        original = getattr(module, name)

        def spy(*arguments, original=original, name=name):
            measured.append(name)
            return original(*arguments)

        monkeypatch.setattr(module, name, spy)
    call = ModelWorker.call

    def called(self, function, *arguments, report=None, **options):
        """Of all that workers do, profiling alone reports."""
        return function(*arguments, report) if report else call(self, function, *arguments, **options)

    monkeypatch.setattr(ModelWorker, "call", called)
    for module in (profile, parts):
        monkeypatch.setattr(module, "engines_on", lambda device: [ONNXRUNTIME])
    monkeypatch.setattr(reference, "look", lambda lanes: look)
    return measured
