"""Stacks that exporters write are found, run as one kernel, and answer as ONNX Runtime does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chrion_api import Plan
from chrion_graph.equality import difference
from chrion_graph.graph import Graph
from chrion_graph.rewrite import ways
from chrion_models.families import ModelCase, cases
from chrion_runtime.engines import engine_named
from tests.runtime.run.test_equality import REAL
from tests.support.kernels import needs_kernels
from tests.support.partition import Arrays, normalised, plan_of, running, whole

pytestmark = needs_kernels

CaseInputs = Callable[..., Arrays]
ENGINE = engine_named("recurrent")


def planned(graph: Graph, rewritten: Graph, rewrites: tuple) -> tuple[Plan, int]:
    """Every stack by the kernels, and all other nodes one by one by ONNX Runtime; and how many stacks there are."""
    stacks = ENGINE.claims(rewritten, "cpu")
    inside = {node for stack in stacks for node in stack}
    others = [(index,) for index in range(len(rewritten.nodes)) if index not in inside]
    cut = sorted([*map(sorted, stacks), *others], key=max)
    plan = plan_of(graph, [(nodes, ("cpu/0",)) for nodes in cut], rewrites=rewrites)
    stages = [
        stage.model_copy(update={"engine": "recurrent"}) if set(stage.nodes) & inside else stage
        for stage in plan.stages
    ]
    return plan.model_copy(update={"stages": tuple(stages)}), len(stacks)


def check(graph: Graph, feeds: Arrays) -> int:
    expected = whole(graph, feeds)
    most = 0
    for rewrites, rewritten in ways(graph):
        plan, stacks = planned(graph, rewritten, rewrites)
        most = max(most, stacks)
        if stacks:
            with running(graph, plan) as executor:
                for answer in (executor.warm(feeds), executor.run(feeds)):
                    assert not difference(answer, expected)
    return most


@pytest.mark.parametrize("case", cases(small=True), ids=lambda case: case.name)
def test_families(case: ModelCase, case_inputs: CaseInputs, tmp_path: Path) -> None:
    feeds = case_inputs(case)
    assert check(normalised(case.build(), tmp_path), feeds)


@pytest.mark.parametrize("file", REAL)
def test_real_models(models_dir: Path, tmp_path: Path, file: str) -> None:
    found = check(normalised(models_dir / file, tmp_path), REAL[file])
    assert found or "silero" in file, "Silero's layer lies within an If"
