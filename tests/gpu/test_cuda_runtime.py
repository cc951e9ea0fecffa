"""The runtime on a real GPU: right answers over lanes, captures and sequences, and memory that is what plans say."""

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chrion_api import SLO, GpuBytes, GpuBytesFrom, Optimization, Plan
from chrion_graph.equality import difference
from chrion_graph.graph import Graph
from chrion_graph.model_worker import ModelWorker
from chrion_models.families import find
from chrion_models.inputs import random_inputs
from chrion_planner.measuring.contender import PlanContender, prepare
from chrion_runtime.devices import Device, open_devices
from chrion_runtime.engines.onnxruntime.cuda.nvml import taken
from chrion_runtime.errors import DeviceUnavailable, OutOfMemory, PlanRefused
from chrion_runtime.planned_model import Hosting, PlannedModel
from chrion_runtime.run.executor import Executor
from chrion_runtime.run.machine import Machine
from tests.support.control_flow import TextModel
from tests.support.partition import Arrays, Cut, each_node, normalised, plan_of, running, whole
from tests.support.plans import Planned

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(240)]

CPU, ONE, OTHER = ("cpu/0",), ("cuda:0/0",), ("cuda:0/1",)
CASE = "lstm-bidirectional-l2-h128-s64-b1"
SHAPES = {"input": (64, 1, 128)}
WITHIN = 0.05
"""How far stated GPU memory may be from what NVML shows."""


@pytest.fixture(scope="module")
def graph(cuda: Device, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return normalised(find(CASE).build(), tmp_path_factory.mktemp("lstm"))


@pytest.fixture
def devices(cuda: Device) -> dict[str, Device]:
    return {**open_devices([]), "cuda:0": cuda}


def feeds(seed: int, steps: int = 64, batch: int = 1) -> Arrays:
    case = find(CASE)
    return random_inputs(case.build(), {"input": (steps, batch, 128)}, seed=seed)


def captured(plan: Plan) -> Plan:
    stages = tuple(stage.model_copy(update={"cuda_graph": stage.device == "cuda:0"}) for stage in plan.stages)
    return plan.model_copy(update={"stages": stages})


def cuts(graph: Graph) -> dict[str, Cut]:
    return {
        "whole": [(range(len(graph.nodes)), ONE)],
        "both lanes": each_node(graph, (ONE, OTHER)),
        "with the CPU": each_node(graph, (ONE, CPU, OTHER)),
    }


def at_once(run: Callable[[int], Any], count: int) -> list[Any]:
    with ThreadPoolExecutor(6) as pool:
        return list(pool.map(run, range(count), timeout=120))


def same(found: Arrays, expected: Arrays) -> None:
    assert not difference(found, expected)


@contextmanager
def on_gpu(graph: Graph, cut: Cut, devices: dict[str, Device], capture: bool = False) -> Iterator[Executor]:
    plan = plan_of(graph, cut, Optimization.ALL)
    with running(graph, captured(plan) if capture else plan, devices) as executor:
        executor.warm(feeds(0))
        yield executor


@pytest.mark.parametrize("capture", [False, True], ids=["kernels", "captured"])
@pytest.mark.parametrize("name", ["whole", "both lanes", "with the CPU"])
def test_answers_are_the_cpus(graph: Graph, devices: dict[str, Device], name: str, capture: bool) -> None:
    with on_gpu(graph, cuts(graph)[name], devices, capture) as executor:
        answers = at_once(lambda seed: executor.run(feeds(seed)), 24)
        for seed, answer in enumerate(answers):
            same(answer, whole(graph, feeds(seed)))
        # Shapes that nothing was bound for or captured with, and then the usual ones again.
        for seed, shape in enumerate(((16, 3), (64, 1), (100, 2), (64, 1))):
            same(executor.run(feeds(seed, *shape)), whole(graph, feeds(seed, *shape)))


def test_lanes_have_sessions_and_so_streams_of_their_own(graph: Graph, devices: dict[str, Device]) -> None:
    with on_gpu(graph, cuts(graph)["both lanes"], devices) as executor:
        by_lane = [
            {id(stage.kernel) for stage in executor.loaded.stages if stage.lanes == lane} for lane in (ONE, OTHER)
        ]
        assert all(by_lane)
        assert not by_lane[0] & by_lane[1]


def test_copies_go_there_and_back(cuda: Device) -> None:
    memory = cuda.memory
    for dtype in (np.float32, np.float64, np.float16, np.int64, np.int32, np.uint8, np.bool_):
        array = (np.arange(24).reshape(2, 3, 4) % 3).astype(dtype)
        value = memory.put(array)
        np.testing.assert_array_equal(memory.get(value), array)
        pinned, other = memory.host(array.dtype, array.shape), memory.allocate(array.dtype, array.shape)
        pinned[...] = array
        memory.write(other, pinned)
        memory.copy(other, value)
        pinned[...] = 0
        memory.read(value, pinned)
        np.testing.assert_array_equal(pinned, array)
    assert memory.get(memory.put(np.zeros((0, 3), np.float32))).shape == (0, 3)


def test_pinned_memory_is_used_again_only_when_nobody_looks_at_it(cuda: Device) -> None:
    memory = cuda.memory
    first = memory.host(np.dtype(np.float32), (1000,))
    view, address = first[10:20], first.ctypes.data
    del first
    gc.collect()
    assert memory.host(np.dtype(np.float32), (1000,)).ctypes.data != address
    del view
    gc.collect()
    assert memory.host(np.dtype(np.float32), (1000,)).ctypes.data == address


def test_a_gpu_that_is_not_there(cuda: Device) -> None:
    with pytest.raises(DeviceUnavailable, match=r"^cuda:99: there are \d+ GPUs, the last one is cuda:\d"):
        open_devices(["cuda:99"])


PRODUCT = """outer (float[N,1] x, float[1,M] z) => (float[1,1] y) {
  a = MatMul (x, z)
  y = ReduceMax (a)
}"""


def test_memory_that_runs_out_is_told_and_passes(tmp_path: Path, devices: dict[str, Device]) -> None:
    graph = normalised(TextModel(PRODUCT, ()).build(), tmp_path)

    def ones(count: int) -> Arrays:
        return {"x": np.ones((count, 1), np.float32), "z": np.ones((1, count), np.float32)}

    with running(graph, plan_of(graph, [(range(len(graph.nodes)), ONE)]), devices) as executor:
        executor.warm(ones(8))
        with pytest.raises(OutOfMemory, match=r"^the GPU is out of memory for this request"):
            executor.run(ones(1 << 20))  # the product is of 4 TiB
        assert executor.run(ones(8))["y"].tolist() == [[1.0]]
        assert executor.run(ones(16))["y"].tolist() == [[1.0]]


def stated(graph: Graph, cut: Cut, devices: dict[str, Device]) -> GpuBytes:
    """What a process of its own takes for a plan, as the planner measures it."""
    with ModelWorker() as worker:
        contender = PlanContender(plan_of(graph, cut, Optimization.ALL), graph.folder, ("cuda:0",), 0, feeds(0))
        loaded = worker.call(prepare, contender, seconds=120, what="loading")
    assert loaded.used is not None
    assert loaded.used.source in (GpuBytesFrom.PROCESS, GpuBytesFrom.DEVICE)
    return loaded.used.bytes


SERVE = """
import sys
from pathlib import Path
from chrion_api import PlanFile
from chrion_runtime.engines.onnxruntime.cuda.nvml import taken
from chrion_runtime.planned_model import NormalisedModel, PlannedModel
import numpy as np
plan_file = PlanFile.from_json(Path(sys.argv[1]).read_text())
session = PlannedModel(NormalisedModel(Path(sys.argv[2]), plan_file.model), plan_file)
draw = np.random.default_rng(0)
for count in range(int(sys.argv[3])):
    steps = 64 if count % 50 else 96
    session.run({"input": draw.standard_normal((steps, 1, 128)).astype(np.float32)})
    if count in (10, int(sys.argv[3]) - 1):
        print((taken(0) or [None])[0], flush=True)
session.close()
"""


def test_a_soak_keeps_to_what_is_stated(graph: Graph, devices: dict[str, Device], tmp_path: Path) -> None:
    cut = cuts(graph)["both lanes"]
    expected = stated(graph, cut, devices)
    planned = Planned(find(CASE).build(), tmp_path, SHAPES, cut, ["cuda:0"], expected)
    path = planned.write(tmp_path / "plan.json")
    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(path), str(planned.normalised.folder), "2000"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    )
    early, late = map(int, done.stdout.split())
    assert late <= early * 1.01
    assert abs(late - expected.total) <= WITHIN * expected.total


def test_plans_that_are_gone_leave_no_memory(graph: Graph, devices: dict[str, Device]) -> None:
    if taken(0) is None:
        pytest.skip("NVML is not there")
    seen = []
    for round_ in range(6):
        with on_gpu(graph, cuts(graph)["both lanes" if round_ % 2 else "whole"], devices, capture=bool(round_ % 3)):
            pass
        gc.collect()
        seen.append((taken(0) or [0])[0])
    assert seen[-1] <= max(seen[:3]) * 1.02


def planned(folder: Path, graph: Graph, total: int) -> Planned:
    return Planned(find(CASE).build(), folder, SHAPES, cuts(graph)["whole"], ["cuda:0"], GpuBytes(weights=total))


def served(one: Planned, budget: str, name: str = "model", machine: Machine | None = None) -> PlannedModel:
    slo = SLO.parse({"gpuMemory": budget}, "slo")
    return PlannedModel(one.normalised, one.plan_file, name=name, slo=slo, hosting=Hosting(machine=machine))


def test_a_budget_that_is_not_free_is_refused(graph: Graph, cuda: Device, tmp_path: Path) -> None:
    free = cuda.memory.free_bytes()
    assert free
    held = cuda.memory.allocate(np.dtype(np.uint8), (free // 2,))
    with pytest.raises(PlanRefused, match=r'^cuda:0 has \d+ bytes free, and "model" needs \d+') as caught:
        served(planned(tmp_path, graph, 1 << 20), str((cuda.memory.total_bytes or free) * 2))
    assert "stop what else runs on the GPU" in str(caught.value)
    del held


def test_two_models_on_one_gpu_within_both_budgets(graph: Graph, devices: dict[str, Device], tmp_path: Path) -> None:
    expected = stated(graph, cuts(graph)["whole"], devices)
    budget = expected.total * 21 // 20
    machine = Machine()
    models = []
    for name in ("a", "b"):
        one = Planned(find(CASE).build(), tmp_path / name, SHAPES, cuts(graph)["whole"], ["cuda:0"], expected)
        models.append(served(one, str(budget), name, machine))
    before = {seed: whole(graph, feeds(seed)) for seed in range(8)}
    answers: Sequence[Arrays] = at_once(lambda seed: models[seed % 2].run(feeds(seed)), 8)
    for seed, answer in enumerate(answers):
        same(answer, before[seed])
    for model in models:
        model.close()
