"""Kernels are shared by all that may share them, built once, and gone when nobody holds them."""

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chrion_api import Stage
from chrion_graph.graph import Graph
from chrion_models.families import find
from chrion_runtime.devices import Device, open_devices
from chrion_runtime.errors import PlanRefused
from chrion_runtime.run.compiled_plan import compile_plan
from chrion_runtime.run.kernels import KernelStore
from chrion_runtime.run.loaded_plan import LoadedPlan
from tests.support.partition import each_node, normalised, plan_of


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    case = find("unrolled-lstm-l2-h16-s4-b1-gemm-split")
    return normalised(case.build(), tmp_path_factory.mktemp("grid"))


@pytest.fixture
def devices() -> dict[str, Device]:
    return open_devices(["emulated:0"], 2)


def stage(*lanes: str, **options: str | bool) -> Stage:
    return Stage(nodes=(0,), lanes=lanes, options=options)


def test_isomorphic_stages_share_a_kernel(graph: Graph, devices: dict[str, Device]) -> None:
    store = KernelStore()
    loaded = LoadedPlan(compile_plan(graph, plan_of(graph, each_node(graph))), devices, store)
    kernels = {id(stage.kernel) for stage in loaded.stages}
    assert len(loaded.stages) == len(graph.nodes) == 122
    assert len(kernels) == len(store) < 30
    # A second plan over the same parts builds none.
    again = LoadedPlan(compile_plan(graph, plan_of(graph, each_node(graph, (("cpu/1",), ("cpu/0",))))), devices, store)
    assert {id(stage.kernel) for stage in again.stages} == kernels
    del loaded, again
    gc.collect()
    assert len(store) == 0


def test_what_differs_has_a_kernel_of_its_own(graph: Graph, devices: dict[str, Device]) -> None:
    store = KernelStore()
    path = graph.folder / "model.onnx"
    cpu, emulated = devices["cpu"], devices["emulated:0"]
    first = store.get(stage("cpu/0"), path, cpu, spin=False)
    assert store.get(stage("cpu/1"), path, cpu, spin=False) is first
    others = [
        store.get(stage("cpu/0", "cpu/1"), path, cpu, spin=False),
        store.get(stage("cpu/0", optimization="All"), path, cpu, spin=False),
        store.get(stage("cpu/0"), path, cpu, spin=True),
        store.get(stage("emulated:0/0"), path, emulated, spin=False),
        store.get(stage("emulated:0/1"), path, emulated, spin=False),
        store.get(stage("emulated:0/0", capture=True), path, emulated, spin=False),
    ]
    assert len({id(kernel) for kernel in (first, *others)}) == len(store) == 7


def test_threads_that_ask_at_once_get_one(graph: Graph, devices: dict[str, Device]) -> None:
    store = KernelStore()
    path = graph.folder / "model.onnx"
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(store.get, stage("cpu/0"), path, devices["cpu"], spin=False) for _ in range(16)]
        found = {id(one.result(timeout=60)) for one in asked}
        assert len(found) == 1


def test_a_part_that_cannot_be_loaded_is_refused(tmp_path: Path, devices: dict[str, Device]) -> None:
    path = tmp_path / "part.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(PlanRefused, match=r"^cpu cannot load a stage, plan again: .*parsing failed") as caught:
        KernelStore().get(stage("cpu/0"), path, devices["cpu"], spin=False)
    assert str(caught.value).isprintable()
