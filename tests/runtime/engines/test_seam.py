"""What the seam carries: an engine of its own runs stages beside ONNX Runtime's, in all the ways that stages run."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from chrion_api import Frontier, Plan, PlanFile, Stage
from chrion_graph.graph import Graph
from chrion_runtime.devices import open_devices
from chrion_runtime.engines import ENGINES, engine_named, key_of
from chrion_runtime.engines.identity import identity
from chrion_runtime.errors import PlanRefused, RunStopped
from chrion_runtime.planned_model import NormalisedModel, PlannedModel
from chrion_runtime.run.executor import Executor
from chrion_runtime.run.state_transfer import HeldValue, StateTransfer
from chrion_runtime.stop import Stop
from tests.support.partition import Arrays, Cut, assert_same_bits, normalised, plan_of, running, whole
from tests.support.python_engine import NAME, Packed, PythonEngine, PythonKernel, installed

ONE, BOTH = ("cpu/0",), ("cpu/0", "cpu/1")
WIDTH = 8


@pytest.fixture(autouse=True)
def python(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(monkeypatch):
        yield


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """y = tanh(w x + s), s_out = -y: a step of a recurrent net, and what it leaves."""
    weight = np.random.default_rng(1).standard_normal(WIDTH).astype(np.float32)
    nodes = [
        helper.make_node("Mul", ["x", "w"], ["m"]),
        helper.make_node("Add", ["m", "s"], ["a"]),
        helper.make_node("Tanh", ["a"], ["y"]),
        helper.make_node("Neg", ["y"], ["s_out"]),
    ]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", WIDTH]) for name in ("x", "s", "y", "s_out")]
    proto = helper.make_graph(nodes, "step", ports[:2], ports[2:], [numpy_helper.from_array(weight, "w")])
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return normalised(model, tmp_path_factory.mktemp("step"))


def feeds(seed: int, rows: int = 4) -> Arrays:
    draw = np.random.default_rng(seed)
    return {name: draw.standard_normal((rows, WIDTH)).astype(np.float32) for name in ("x", "s")}


def planned(graph: Graph, cut: Cut, *engines: str, **options: bool) -> Plan:
    """A plan of these stages by these engines; the options are the test engine's."""
    plan = plan_of(graph, cut)
    stages = tuple(
        stage.model_copy(update={"engine": engine, "options": options if engine == NAME else {}})
        for stage, engine in zip(plan.stages, engines, strict=True)
    )
    return plan.model_copy(update={"stages": stages})


def split(lanes: tuple[str, ...] = ONE) -> Cut:
    return [((0, 1), ONE), ((2,), lanes), ((3,), ONE)]


def kernel() -> PythonKernel:
    (found,) = PythonEngine.compiled
    return found


def close(found: Arrays, expected: Arrays) -> None:
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cut", [split(), [((0, 1, 2, 3), ONE)]], ids=["among others", "whole"])
def test_an_engine_runs_stages_among_those_of_another(graph: Graph, cut: Cut) -> None:
    engines = ("onnxruntime", NAME, "onnxruntime") if len(cut) == 3 else (NAME,)
    with running(graph, planned(graph, cut, *engines)) as executor:
        executor.warm(feeds(0))
        for seed, rows in enumerate((4, 4, 7, 1, 4)):  # bound, and of other shapes
            close(executor.run(feeds(seed, rows)), whole(graph, feeds(seed, rows)))


def test_many_calls_of_one_kernel_run_at_once_each_with_its_own_values(graph: Graph) -> None:
    with running(graph, planned(graph, [((0, 1, 2, 3), ONE)], NAME)) as executor:
        executor.warm(feeds(0))
        calls = [
            kernel().bind(stage.ports, *bound(executor, seed)) for seed, stage in enumerate(executor.loaded.stages * 4)
        ]
        meet = threading.Barrier(4, timeout=60)
        kernel().before_node = meet.wait
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda call: call(), calls))
        assert kernel().most_at_once == 4


def bound(executor: Executor, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    stage = executor.loaded.stages[0]
    given = feeds(seed)
    return [given[name] for name in stage.inputs], [np.empty((4, WIDTH), np.float32) for _ in stage.outputs]


def test_requests_at_once_get_their_own_answers(graph: Graph) -> None:
    with running(graph, planned(graph, split(BOTH), "onnxruntime", NAME, "onnxruntime")) as executor:
        executor.warm(feeds(0))
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda seed: executor.run(feeds(seed, 4 + seed % 2)), range(24), timeout=60))
    for seed, answer in enumerate(answers):
        close(answer, whole(graph, feeds(seed, 4 + seed % 2)))


@pytest.mark.parametrize("lanes", [ONE, BOTH])
def test_a_kernel_has_the_lanes_of_its_stage_and_no_others(graph: Graph, lanes: tuple[str, ...]) -> None:
    with running(graph, planned(graph, split(lanes), "onnxruntime", NAME, "onnxruntime")) as executor:
        executor.warm(feeds(0))
        assert kernel().site.lanes == len(lanes)
        assert not kernel().site.spin, "others need the cores"
        assert {name.rpartition("_")[0] for name in kernel().threads} == {"python-kernel"}
        assert 1 <= len(kernel().threads) <= len(lanes)


@pytest.mark.parametrize("cut", [split(), [((0, 1, 2, 3), ONE)]], ids=["among others", "whole"])
def test_a_run_is_ended_from_outside_and_the_next_is_as_ever(graph: Graph, cut: Cut) -> None:
    engines = ("onnxruntime", NAME, "onnxruntime") if len(cut) == 3 else (NAME,)
    with running(graph, planned(graph, cut, *engines)) as executor:
        executor.warm(feeds(0))
        stop = Stop()
        kernel().before_node = stop.set
        with pytest.raises(RunStopped):
            executor.run(feeds(1), stop=stop)
        kernel().before_node = lambda: None
        close(executor.run(feeds(2)), whole(graph, feeds(2)))


def test_state_stays_in_the_kernels_own_layout_from_run_to_run(graph: Graph) -> None:
    with running(graph, planned(graph, [((0, 1, 2, 3), ONE)], NAME, packed=True)) as executor:
        executor.warm(feeds(0))
        x, state = feeds(1)["x"], np.zeros((4, WIDTH), np.float32)
        taken = {"s": HeldValue(executor.loaded.memory_of["cpu"], state)}
        for _ in range(3):
            transfer = StateTransfer({"s_out": "s"}, taken=taken)
            Packed.opened = 0
            found = executor.run({"x": x}, transfer)
            assert Packed.opened == 1, "the answer's layout is turned round, and not the state's"
            expected = whole(graph, {"x": x, "s": state})
            close(found, {"y": expected["y"]})
            taken, state = dict(transfer.left), expected["s_out"]
            assert isinstance(taken["s"].tensor, Packed)


def test_bytes_are_told_without_loading_anything(graph: Graph) -> None:
    assert engine_named(NAME).bytes(graph, [0, 1], "cpu", {}).host == 4 * WIDTH
    assert engine_named("onnxruntime").bytes(graph, [0, 1], "emulated:0", {}).device == 4 * WIDTH
    assert not PythonEngine.compiled


def test_an_identity_is_known_without_compiling_and_tells_all_that_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    def stage(*lanes: str, engine: str = NAME, **options: bool) -> Stage:
        return Stage(nodes=(0,), lanes=lanes, engine=engine, options=options)

    one = identity(stage("cpu/0"), "part")
    assert identity(stage("cpu/1"), "part") == one, "lanes of the host share kernels"
    assert identity(stage("emulated:0/0"), "part") != identity(stage("emulated:0/1"), "part")
    others = [
        identity(stage("cpu/0"), "another part"),
        identity(stage("cpu/0", "cpu/1"), "part"),
        identity(stage("cpu/0", engine="onnxruntime"), "part"),
        identity(stage("cpu/0", packed=True), "part"),
    ]
    monkeypatch.setattr(PythonEngine, "version", "2")
    others.append(identity(stage("cpu/0"), "part"))
    assert len({one, *others}) == 6
    assert not PythonEngine.compiled


def test_state_in_a_kernels_own_layout_is_read_and_never_written_into(graph: Graph) -> None:
    """It comes of a run of other shapes than were bound, and goes on in one of those."""
    with running(graph, planned(graph, split(), "onnxruntime", "onnxruntime", NAME, packed=True)) as executor:
        executor.warm(feeds(0))
        slots, executor._bound = executor._bound, None
        state = feeds(4)["s"]
        taken = HeldValue(executor.loaded.memory_of["cpu"], state.copy())
        for seed in range(6):
            x = feeds(seed)["x"]
            transfer = StateTransfer({"s_out": "s"}, taken={"s": taken})
            answer = executor.run({"x": x}, transfer)
            executor._bound = slots
            expected = whole(graph, {"x": x, "s": state})
            np.testing.assert_allclose(answer["y"], expected["y"], rtol=1e-5, atol=1e-6)
            taken, state = transfer.left["s"], expected["s_out"]
            np.testing.assert_allclose(taken.array(), state, rtol=1e-5, atol=1e-6)


def test_an_engine_that_is_not_installed_is_refused_with_what_to_install(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PythonEngine, "missing", "python is not installed; install chrion[python]")
    with pytest.raises(PlanRefused) as caught, running(graph, planned(graph, [((0, 1, 2, 3), ONE)], NAME)):
        pass
    assert str(caught.value) == (
        'plan "forced": stage 0 wants the engine python: python is not installed; install chrion[python]'
    )
    assert NAME not in key_of(open_devices([], 1)["cpu"]).engines


@pytest.mark.parametrize(
    "missing", ["python is not installed; install chrion[python]", "it needs avx512, which this processor has not"]
)
def test_a_plan_file_for_an_engine_that_cannot_run_here_says_why(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    plan = planned(graph, [((0, 1, 2, 3), ONE)], NAME)
    digest = "0" * 64
    plan_file = PlanFile(
        model=digest,
        devices={"cpu": key_of(open_devices([])["cpu"])},
        buckets=(Frontier(inputs={"x": (4, WIDTH), "s": (4, WIDTH)}, plans=(plan,)),),
    )
    monkeypatch.setattr(PythonEngine, "missing", missing)
    with pytest.raises(PlanRefused) as caught:
        PlannedModel(NormalisedModel(graph.folder, digest), plan_file, name="step")
    assert str(caught.value) == f"the plan wants the engine python: {missing}"


def test_an_engine_that_nobody_knows_is_refused(graph: Graph) -> None:
    plan = planned(graph, [((0, 1, 2, 3), ONE)], "abacus")
    known = ", ".join(ENGINES)
    unknown = rf'^unknown engine "abacus"; the engines are {known}: '
    with pytest.raises(PlanRefused, match=unknown), running(graph, plan):
        pass


@pytest.mark.parametrize(
    ("engine", "options", "problem"),
    [
        ("onnxruntime", {"speed": 11}, "has an option that ONNX Runtime does not know: speed"),
        ("onnxruntime", {"optimization": "Some"}, "has the optimization 'Some', which must be All or None"),
        (NAME, {"speed": 11}, "has an option that Python has not: speed"),
    ],
)
def test_an_option_that_an_engine_has_not_is_named(graph: Graph, engine: str, options: dict, problem: str) -> None:
    plan = plan_of(graph, [((0, 1, 2, 3), ONE)])
    plan = plan.model_copy(
        update={"stages": (plan.stages[0].model_copy(update={"engine": engine, "options": options}),)}
    )
    with pytest.raises(PlanRefused) as caught, running(graph, plan):
        pass
    assert str(caught.value) == f'plan "forced": stage 0 {problem}; plan again'


def test_what_an_engine_cannot_compile_refuses_the_plan(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "relu.onnx"
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy")
    proto = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    onnx.save(helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    other = normalised(path, tmp_path)
    with pytest.raises(PlanRefused, match=r"^Python has no Relu$"), running(other, planned(other, [((0,), ONE)], NAME)):
        pass


def test_onnx_runtime_alone_is_as_it_was(graph: Graph) -> None:
    with running(graph, planned(graph, split(), *["onnxruntime"] * 3)) as executor:
        executor.warm(feeds(0))
        assert_same_bits(executor.run(feeds(1)), whole(graph, feeds(1)))
