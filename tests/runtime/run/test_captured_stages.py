"""Stages that are captured and replayed: one thread each, fixed values, right answers; on the emulated accelerator."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chrion_api import Plan
from chrion_graph.graph import Graph
from chrion_models.families import find
from chrion_models.inputs import random_inputs
from chrion_runtime.devices import Device, HostTensor, Tensor, open_devices
from chrion_runtime.devices.emulated import Emulated, EmulatedMemory
from chrion_runtime.engines.onnxruntime.kernel import CapturedCall, SessionKernel
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


@pytest.fixture(autouse=True)
def watch(device: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the device told of the runs of its kernels."""
    call, run = CapturedCall.__call__, SessionKernel.run
    names: dict[CapturedCall, set[str]] = {}

    def named(self: CapturedCall, stop: Stop | None = None) -> None:
        if self not in names:
            device.threads.append(names.setdefault(self, set()))
        names[self].add(threading.current_thread().name)
        call(self, stop)

    def loose(self: SessionKernel, *arguments: Any) -> Any:
        device.loose += self._memory is device.memory
        return run(self, *arguments)

    monkeypatch.setattr(CapturedCall, "__call__", named)
    monkeypatch.setattr(SessionKernel, "run", loose)


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
    stages = tuple(stage.with_options(capture=stage.device == device) for stage in plan.stages)
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
    with running(gru, captured(plan_of(gru, cuts(gru)["whole"])), devices) as executor:
        stage = executor.loaded.stages[0]
        reads = [HostTensor(feeds(0)[name]) for name in stage.inputs]
        expected = whole(gru, feeds(0))
        call = stage.kernel.bind(
            stage.ports, reads, [HostTensor(np.empty_like(expected[name])) for name in stage.outputs]
        )
        call()
        call()
        with pytest.raises(RuntimeError, match="reads and writes where it did"):
            call.read(0, reads[0])
        with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="on the thread that captured it"):
            pool.submit(call).result(10)


def test_a_device_that_captures_nothing_refuses_the_plan(gru: Graph, devices: dict[str, Device]) -> None:
    plan = captured(plan_of(gru, [(range(len(gru.nodes)), CPU)]), "cpu")
    with pytest.raises(PlanRefused) as caught, running(gru, plan, devices):
        pass
    assert str(caught.value) == 'plan "forced": stage 0 is a CUDA graph, which cpu cannot run; plan again'


def test_two_lanes_of_one_memory_pass_values_without_a_copy(gru: Graph, tmp_path: Path) -> None:
    class Counting(EmulatedMemory):
        copies = 0

        def write(self, tensor: Tensor, array: np.ndarray[Any, Any]) -> None:
            self.copies += 1
            super().write(tensor, array)

        def read(self, tensor: Tensor, array: np.ndarray[Any, Any]) -> None:
            self.copies += 1
            super().read(tensor, array)

    device = Emulated("emulated:0", 0)
    device.memory = counting = Counting("emulated:0")
    devices = {**open_devices([], 2), "emulated:0": device}
    with running(gru, plan_of(gru, cuts(gru)["both lanes"]), devices) as executor:
        executor.warm(feeds(0))
        counting.copies = 0
        assert_same_bits(executor.run(feeds(1)), whole(gru, feeds(1)))
        # The inputs in, the answers out, and nothing between.
        assert counting.copies == len(executor.loaded.compiled.inputs) + len(executor.loaded.compiled.outputs)
        # Each lane has kernels of its own.
        by_lane = {
            lane: {id(stage.kernel) for stage in executor.loaded.stages if stage.lanes == lane} for lane in (ONE, OTHER)
        }
        assert not by_lane[ONE] & by_lane[OTHER]
