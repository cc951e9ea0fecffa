"""What is measured of devices with a memory of their own: lanes that share it, and what sessions and nodes take."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from chrion_api import ONNXRUNTIME, GpuBytes, Optimization
from chrion_graph.cut import cut
from chrion_graph.graph import Graph
from chrion_graph.inputs import sample
from chrion_planner.profiling.calibrate import transfers
from chrion_planner.profiling.memory import GRAIN, Taken, of_node, of_session
from chrion_planner.profiling.nodes import node_cost, values_of
from chrion_planner.profiling.whole_graphs import measured_run, whole_runs
from chrion_runtime.devices.emulated import Emulated, EmulatedMemory
from tests.support.one_layer import OneLayer
from tests.support.partition import normalised

EACH = 8 << 20
LEVELS = (Optimization.NONE, Optimization.ALL)


class Greedy(EmulatedMemory):
    """Each kernel takes as much as a library's handle would."""

    kernels = 0

    def charge(self, kernel: object, nbytes: int) -> None:
        self.kernels += 1
        super().charge(kernel, nbytes)

    def used(self) -> GpuBytes:
        return super().used().model_copy(update={"workspace": self.kernels * EACH})


class Silent(EmulatedMemory):
    """Cannot tell what it takes."""

    def used(self) -> None:
        return None


def device(memory: type[EmulatedMemory] = EmulatedMemory) -> Emulated:
    found = Emulated("emulated:0", 0)
    found.memory = memory("emulated:0")
    return found


@pytest.fixture
def product(tmp_path: Path) -> Graph:
    """A product with 4 MiB of weights."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1024])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1024])],
        [numpy_helper.from_array(np.ones((1024, 1024), np.float32), "w")],
    )
    return Graph(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path)


def test_lanes_of_an_accelerator_are_never_one_and_crowd_each_other(tmp_path):
    graph = normalised(OneLayer("GRU").model(), tmp_path)
    feeds = sample(graph.inputs, {"X": (7, 3, 5)}, {})
    cost = node_cost(graph, 0, values_of(graph, [0], feeds), Emulated("emulated:0", 0), Taken())
    assert cost.wide_seconds is None
    assert cost.crowded_seconds >= cost.seconds, "small nodes too"


def test_a_node_that_the_device_cannot_load_has_no_cost(tmp_path):
    class Picky(EmulatedMemory):
        def charge(self, kernel, nbytes):
            raise RuntimeError("no kernel")

    graph = normalised(OneLayer("GRU").model(), tmp_path)
    feeds = sample(graph.inputs, {"X": (7, 3, 5)}, {})
    assert node_cost(graph, 0, values_of(graph, [0], feeds), device(Picky), Taken()) is None


def test_wholes_are_on_one_lane(tmp_path):
    graph = normalised(OneLayer("GRU").model(), tmp_path)
    feeds = sample(graph.inputs, {"X": (7, 3, 5)}, {})
    gpu, shapes = device(), {"X": (7, 3, 5)}
    runs = list(whole_runs(graph, shapes, gpu, [ONNXRUNTIME], plain=True))
    assert [(run.lanes, run.options) for run in runs] == [(1, level.options) for level in LEVELS]
    for run in runs:
        (found,) = measured_run(run, graph, "model.onnx", feeds, {gpu.name: gpu}, gpu)
        assert found == run.model_copy(update={"seconds": found.seconds})


def test_what_each_session_takes_is_told_from_what_all_share(tmp_path):
    assert sum(of_session(device(Greedy), tmp_path)) == EACH
    assert sum(of_session(device(), tmp_path)) == 0
    assert of_session(device(Silent), tmp_path) == Taken()


def test_copies_are_timed_as_values_cross_from_and_to_the_devices_own_host_memory():
    class Pinning(EmulatedMemory):
        """Knows which host memory it gave out."""

        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.given: list[np.ndarray] = []
            self.copied = {"in": 0, "out": 0}

        def host(self, dtype, shape):
            self.given.append(super().host(dtype, shape))
            return self.given[-1]

        def write(self, value, array):
            assert any(array is one for one in self.given)
            self.copied["in"] += 1
            super().write(value, array)

        def read(self, value, array):
            assert any(array is one for one in self.given)
            self.copied["out"] += 1
            super().read(value, array)

    gpu = device(Pinning)
    there, back = transfers(gpu)
    assert (there.source, there.target, back.source, back.target) == ("cpu", "emulated:0", "emulated:0", "cpu")
    assert min(there.latency_seconds, back.latency_seconds, there.bytes_per_second, back.bytes_per_second) > 0
    assert all(gpu.memory.copied.values())


def taken(graph: Graph, gpu: Emulated, predicted: Taken, session: Taken = Taken()) -> Taken:  # noqa: B008
    sub_model = cut(graph, [0])
    return of_node(sub_model.model, [np.ones((1, 1024), np.float32)], gpu, graph.folder, session, predicted)


def test_a_node_takes_its_weights_and_what_the_device_takes_besides(product):
    assert taken(product, device(), Taken()) == Taken(4 << 20)
    per_session = Taken(EACH)
    assert taken(product, device(Greedy), Taken(), per_session) == Taken(4 << 20)
    assert taken(product, device(Greedy), Taken()) == Taken((4 << 20) + EACH)


def test_a_small_difference_says_nothing(product):
    near = Taken((4 << 20) - GRAIN + 1)
    assert taken(product, device(), near) == near
    assert taken(product, device(Silent), near) == near


def test_the_model_of_a_probe_is_not_left_in_memory(product):
    gpu = device()
    before = gpu.memory.used()
    taken(product, gpu, Taken())
    assert gpu.memory.used() == before
