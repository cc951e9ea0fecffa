"""OpenVINO runs stages in 32-bit floats, on the lanes of the stage alone; where it is not there, it says so."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from chrion_api import Plan
from chrion_graph.graph import Graph
from chrion_models.families import find
from chrion_models.inputs import random_inputs
from chrion_runtime.devices import open_devices
from chrion_runtime.engines import engine_named, key_of
from chrion_runtime.engines.openvino import OpenVino
from chrion_runtime.errors import PlanRefused, RunStopped
from chrion_runtime.stop import Stop
from tests.support.partition import Arrays, atoms, normalised, plan_of, running, whole

MODELS = ("gru-forward-l2-h16-s8-b1", "lstm-bidirectional-l2-h16-s8-b2", "crnn-c16-h48-w320-b1")
ONE, BOTH = ("cpu/0",), ("cpu/0", "cpu/1")

installed = pytest.mark.skipif(bool(engine_named("openvino").problem("cpu")), reason="OpenVINO is not installed")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return normalised(find(MODELS[0]).build(), tmp_path_factory.mktemp("gru"))


def feeds(name: str = MODELS[0], seed: int = 0) -> Arrays:
    case = find(name)
    return random_inputs(case.build(), case.inputs, case.values, seed)


def by_openvino(plan: Plan, stages: set[int] | None = None) -> Plan:
    """The plan with some or all of its stages run by OpenVINO."""
    changed = tuple(
        stage.model_copy(update={"engine": "openvino", "options": {}}) if stages is None or index in stages else stage
        for index, stage in enumerate(plan.stages)
    )
    return plan.model_copy(update={"stages": changed})


def close(found: Arrays, expected: Arrays) -> None:
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5)


@installed
@pytest.mark.parametrize("lanes", [ONE, BOTH])
@pytest.mark.parametrize("name", MODELS)
def test_a_whole_model_answers_alike(name: str, lanes: tuple[str, ...], tmp_path: Path) -> None:
    graph = normalised(find(name).build(), tmp_path)
    with running(graph, by_openvino(plan_of(graph, [(range(len(graph.nodes)), lanes)]))) as executor:
        executor.warm(feeds(name))
        for seed in range(3):
            close(executor.run(feeds(name, seed)), whole(graph, feeds(name, seed)))


@installed
def test_stages_of_both_engines_take_turns(graph: Graph) -> None:
    parts = atoms(graph)
    cut = [(part, (ONE, ("cpu/1",))[index % 2]) for index, part in enumerate(parts)]
    plan = by_openvino(plan_of(graph, cut), set(range(0, len(parts), 2)))
    with running(graph, plan) as executor:
        executor.warm(feeds())
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda seed: executor.run(feeds(seed=seed)), range(12), timeout=60))
    for seed, answer in enumerate(answers):
        close(answer, whole(graph, feeds(seed=seed)))


@installed
def test_a_run_is_ended_from_outside(graph: Graph) -> None:
    with running(graph, by_openvino(plan_of(graph, [(range(len(graph.nodes)), ONE)]))) as executor:
        executor.warm(feeds())
        stop = Stop()
        stop.set()
        with pytest.raises(RunStopped):
            executor.run(feeds(), stop=stop)
        close(executor.run(feeds(seed=1)), whole(graph, feeds(seed=1)))


@installed
def test_its_version_is_part_of_what_measurements_hold_for() -> None:
    assert key_of(open_devices([], 1)["cpu"]).engines["openvino"] == engine_named("openvino").version


def test_where_it_is_not_installed_a_plan_says_what_to_install(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenVino, "version", "")
    plan = by_openvino(plan_of(graph, [(range(len(graph.nodes)), ONE)]))
    with pytest.raises(PlanRefused) as caught, running(graph, plan):
        pass
    assert str(caught.value) == (
        'plan "forced": stage 0 wants the engine openvino: openvino is not installed; install chrion[openvino]'
    )
    assert "openvino" not in key_of(open_devices([], 1)["cpu"]).engines


def test_it_runs_on_the_cpu_alone(graph: Graph) -> None:
    device = "emulated:0"
    plan = by_openvino(plan_of(graph, [(range(len(graph.nodes)), (f"{device}/0",))]))
    refusal = "wants the engine openvino: it does not run on emulated:0; plan again"
    with pytest.raises(PlanRefused, match=refusal), running(graph, plan, open_devices([device], 1)):
        pass
