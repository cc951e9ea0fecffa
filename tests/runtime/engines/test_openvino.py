"""OpenVINO runs stages in 32-bit floats, on the lanes of the stage alone; where it is not there, it says so."""

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from chrion_api import Plan
from chrion_graph.graph import Graph
from chrion_models.families import find
from chrion_models.inputs import random_inputs
from chrion_runtime.devices import open_devices
from chrion_runtime.devices.run_memory import RunMemory
from chrion_runtime.engines import engine_named, key_of
from chrion_runtime.engines.openvino import OpenVino
from chrion_runtime.errors import PlanRefused, RunStopped
from chrion_runtime.run import kernels
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


def model(nodes: list[onnx.NodeProto], inputs: dict[str, tuple], outputs: dict[str, tuple]) -> onnx.ModelProto:
    """A model with inputs and outputs of these types and shapes."""
    infos = [
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in values.items()]
        for values in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "small", *infos)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


SUM = [helper.make_node("Sub", ["x", "z"], ["t"]), helper.make_node("Mul", ["t", "x"], ["y"])]


@installed
@pytest.mark.parametrize("cut", [lambda graph: [(range(2), ONE)], lambda graph: [((0,), ONE), ((1,), ONE)]])
def test_inputs_may_lie_anyhow(cut: Any, tmp_path: Path) -> None:
    """Turned round, read-only, as scalars, of no elements: copies live for as long as they are read."""
    matrix = (TensorProto.FLOAT, ["a", "b"])
    graph = normalised(model(SUM, {"x": matrix, "z": matrix}, {"y": matrix}), tmp_path / "matrix")
    draw = np.random.default_rng(0)
    x, z = (draw.standard_normal((300, 400)).astype(np.float32) for _ in range(2))
    frozen = np.frombuffer(x.tobytes(), np.float32).reshape(x.shape)
    with running(graph, by_openvino(plan_of(graph, cut(graph)))) as executor:
        executor.warm({"x": x, "z": z})
        for one, other in ((x.T, z.T), (frozen, frozen), (x[::2], z[::2]), (x[:0], z[:0]), (x, frozen)) * 3:
            close(executor.run({"x": one, "z": other}), {"y": (one - other) * one})
    scalar = (TensorProto.FLOAT, [])
    graph = normalised(model(SUM, {"x": matrix, "z": scalar}, {"y": matrix}), tmp_path / "scalar")
    with running(graph, by_openvino(plan_of(graph, cut(graph)))) as executor:
        fed = {"x": x, "z": np.array(2, np.float32)}
        executor.warm(fed)
        close(executor.run(fed), {"y": (x - 2) * x})


@installed
@pytest.mark.parametrize("stages", [{0}, {1}, {2}, {0, 2}, {1, 2}, {0, 1, 2}])
def test_results_whose_shape_follows_from_values_are_whole(stages: set[int], tmp_path: Path) -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["i"]),
        helper.make_node("Transpose", ["i"], ["j"]),
        helper.make_node("Abs", ["j"], ["y"]),
    ]
    graph = normalised(
        model(nodes, {"x": (TensorProto.FLOAT, [6])}, {"y": (TensorProto.INT64, ["k", 1])}), tmp_path / "nonzero"
    )
    with running(graph, by_openvino(plan_of(graph, [((node,), ONE) for node in range(3)]), stages)) as executor:
        executor.warm({"x": np.ones(6, np.float32)})
        for text in ("001010", "111111", "100000", "000000", "110011"):
            x = np.array(list(map(float, text)), np.float32)
            np.testing.assert_array_equal(executor.run({"x": x})["y"], np.argwhere(x))


@installed
@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.UINT64, TensorProto.DOUBLE, TensorProto.STRING])
def test_it_leaves_to_others_what_it_computes_in_32_bits(kind: int, tmp_path: Path) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    graph = normalised(model([node], {"x": (kind, [2])}, {"y": (kind, [2])}), tmp_path / "wide")
    (cpu,) = open_devices([], 1).values()
    assert engine_named("openvino").claims(graph, cpu) == []
    assert not engine_named("openvino").takes(graph, [0], cpu)
    if kind != TensorProto.INT64:
        refused = pytest.raises(PlanRefused, match=r"does not support|cannot load a stage")
        with refused, running(graph, by_openvino(plan_of(graph, [((0,), ONE)]))):
            pass


@installed
def test_its_weights_count_as_memory_of_runs(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = RunMemory()
    monkeypatch.setattr(kernels, "RUN_MEMORY", memory)
    memory.hold_to(1 << 30)
    plan = by_openvino(plan_of(graph, [(range(len(graph.nodes)), ONE)]))
    with running(graph, plan) as executor:
        assert executor
        assert memory.taken() >= 2 * sum(graph.constant_bytes(node) for node in range(len(graph.nodes)))
    del executor
    gc.collect()
    assert memory.taken() == 0
    memory.hold_to(1000)
    with pytest.raises(PlanRefused, match="do not fit in the 1000 bytes"), running(graph, plan):
        pass
