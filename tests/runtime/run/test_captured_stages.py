"""Stages that are captured and replayed: one thread each, fixed values, right answers; on the emulated accelerator."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from chrion_api import Plan
from chrion_bench.families import find
from chrion_bench.inputs import random_inputs
from chrion_graph.graph import Graph
from chrion_runtime.devices import BoundSession, Device, open_devices
from chrion_runtime.devices.device import CapturedSession
from chrion_runtime.devices.emulated import Emulated
from chrion_runtime.errors import PlanRefused
from chrion_runtime.stop import Stop
from tests.support.partition import Arrays, Cut, assert_same_bits, each_node, normalised, plan_of, running, whole

CPU, ONE, OTHER = ("cpu/0",), ("emulated:0/0",), ("emulated:0/1",)


class Watching(Emulated):
    """Remembers on which threads its captured stages ran, and how often any ran loose."""

    def __init__(self) -> None:
        super().__init__("emulated:0", 0)
        self.threads: list[set[str]] = []
        self.loose = 0

    def bind(self, session: ort.InferenceSession, capture: bool = False) -> BoundSession:
        if not capture:
            return super().bind(session)
        names: set[str] = set()
        self.threads.append(names)

        class Named(CapturedSession):
            def run(self, stop: Stop | None = None) -> None:
                names.add(threading.current_thread().name)
                super().run(stop)

        return Named(session)

    def run(self, *arguments: Any) -> list[Any]:
        self.loose += 1
        return super().run(*arguments)


@pytest.fixture(scope="module")
def gru(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return normalised(find("gru-bidirectional-l2-h16-s8-b2").build(), tmp_path_factory.mktemp("gru"))


@pytest.fixture
def device() -> Watching:
    return Watching()


@pytest.fixture
def devices(device: Watching) -> dict[str, Device]:
    return {**open_devices([], 2), "emulated:0": device}


def feeds(seed: int, steps: int = 8, batch: int = 2) -> Arrays:
    case = find("gru-bidirectional-l2-h16-s8-b2")
    return random_inputs(case.build(), {"input": (steps, batch, 16)}, seed=seed)


def captured(plan: Plan, device: str = "emulated:0") -> Plan:
    stages = tuple(stage.model_copy(update={"cuda_graph": stage.device == device}) for stage in plan.stages)
    return plan.model_copy(update={"stages": stages})


def at_once(run: Any, count: int) -> list[Any]:
    with ThreadPoolExecutor(6) as pool:
        return list(pool.map(run, range(count), timeout=60))


def cuts(graph: Graph) -> dict[str, Cut]:
    return {
        "whole": [(range(len(graph.nodes)), ONE)],
        "both lanes": each_node(graph, (ONE, OTHER)),
        "with the CPU": each_node(graph, (ONE, CPU, OTHER)),
    }


@pytest.mark.parametrize("name", ["whole", "both lanes", "with the CPU"])
def test_replays_answer_for_changing_inputs_on_one_thread_a_stage(
    gru: Graph, device: Watching, devices: dict[str, Device], name: str
) -> None:
    with running(gru, captured(plan_of(gru, cuts(gru)[name])), devices) as executor:
        executor.warm(feeds(0))
        warm = device.loose
        answers = at_once(lambda seed: executor.run(feeds(seed)), 32)
        assert device.loose == warm
        assert all(len(names) == 1 for names in device.threads)
        lanes = {lane for names in device.threads for lane in names}
        assert lanes == {f"lane {lane}" for lane in executor.loaded.lanes if lane.startswith("emulated")}
    for seed, answer in enumerate(answers):
        np.testing.assert_allclose(answer["output"], whole(gru, feeds(seed))["output"], rtol=1e-5, atol=1e-6)


def test_other_shapes_run_without_the_capture(gru: Graph, device: Watching, devices: dict[str, Device]) -> None:
    with running(gru, captured(plan_of(gru, cuts(gru)["both lanes"])), devices) as executor:
        executor.warm(feeds(0))
        for seed, shape in enumerate(((5, 3), (8, 2), (20, 1), (8, 2))):
            before = device.loose
            answer = executor.run(feeds(seed, *shape))
            assert_same_bits(answer, whole(gru, feeds(seed, *shape)))
            assert (device.loose > before) == (shape != (8, 2))


def test_what_was_captured_cannot_be_bound_or_run_otherwise(gru: Graph, devices: dict[str, Device]) -> None:
    device = open_devices(["emulated:0"])["emulated:0"]
    with running(gru, plan_of(gru, cuts(gru)["whole"]), devices) as executor:
        stage = executor.loaded.stages[0]
        bound = device.bind(stage.session, capture=True)
        arrays = [feeds(0)[name] for name in stage.inputs]
        for name, array in zip(stage.input_names, arrays, strict=True):
            bound.input(name, ort.OrtValue.ortvalue_from_numpy(array))
        expected = whole(gru, feeds(0))
        for name, value in zip(stage.output_names, stage.outputs, strict=True):
            bound.output(name, ort.OrtValue.ortvalue_from_numpy(np.empty_like(expected[value])))
        bound.run()
        bound.run()
        with pytest.raises(RuntimeError, match="reads and writes where it did"):
            bound.input(stage.input_names[0], ort.OrtValue.ortvalue_from_numpy(arrays[0]))
        with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="on the thread that captured it"):
            pool.submit(bound.run).result(10)


def test_a_device_that_captures_nothing_refuses_the_plan(gru: Graph, devices: dict[str, Device]) -> None:
    plan = captured(plan_of(gru, [(range(len(gru.nodes)), CPU)]), "cpu")
    with pytest.raises(PlanRefused) as caught, running(gru, plan, devices):
        pass
    assert str(caught.value) == 'plan "forced": stage 0 is a CUDA graph, which cpu cannot run; plan again'


def test_two_lanes_of_one_memory_pass_values_without_a_copy(gru: Graph, tmp_path: Path) -> None:
    class Counting(Emulated):
        copies = 0

        def write(self, value: ort.OrtValue, array: np.ndarray[Any, Any]) -> None:
            self.copies += 1
            super().write(value, array)

        def get(self, value: Any) -> Any:
            self.copies += 1
            return super().get(value)

    device = Counting("emulated:0", 0)
    devices = {**open_devices([], 2), "emulated:0": device}
    with running(gru, plan_of(gru, cuts(gru)["both lanes"]), devices) as executor:
        executor.warm(feeds(0))
        device.copies = 0
        assert_same_bits(executor.run(feeds(1)), whole(gru, feeds(1)))
        # The inputs in, the answers out, and nothing between.
        assert device.copies == len(executor.loaded.compiled.inputs) + len(executor.loaded.compiled.outputs)
        # Each lane has sessions of its own.
        by_lane = {
            lane: {id(stage.session) for stage in executor.loaded.stages if stage.lanes == lane}
            for lane in (ONE, OTHER)
        }
        assert not by_lane[ONE] & by_lane[OTHER]
