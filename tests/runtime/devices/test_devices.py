"""Devices are what they say: an unknown or absent one is a clear error, and the emulated one counts every byte."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from chrion_api import GpuBytes, Optimization
from chrion_graph.cut import cut
from chrion_models.families import find
from chrion_runtime.devices import HOST, default_devices, open_devices
from chrion_runtime.devices.cpu import usable_cores
from chrion_runtime.engines import Ports, Site, engine_named, key_of
from chrion_runtime.engines.onnxruntime.sessions import session_options
from chrion_runtime.errors import DeviceUnavailable
from tests.support.control_flow import MODELS
from tests.support.partition import normalised

WITHOUT_GPU = pytest.mark.skipif(
    "CUDAExecutionProvider" in ort.get_available_providers(), reason="this ONNX Runtime knows CUDA"
)


def test_the_cpu_comes_first_with_a_lane_a_core() -> None:
    devices = open_devices(["emulated:0", "cpu", "emulated:1"])
    assert list(devices) == ["cpu", "emulated:0", "emulated:1"]
    assert devices["cpu"].lanes == tuple(f"cpu/{core}" for core in range(usable_cores()))
    assert devices["emulated:1"].lanes == ("emulated:1/0", "emulated:1/1")
    assert [device.memory.name for device in devices.values()] == [HOST, "emulated:0", "emulated:1"]
    assert open_devices([], 1)["cpu"].lanes == ("cpu/0",)


@pytest.mark.parametrize("name", ["gpu", "cuda", "cuda:", "cuda:x", "cuda:-1", "CUDA:0", "cpu:0", "tpu:0", ""])
def test_an_unknown_device_is_named(name: str) -> None:
    with pytest.raises(DeviceUnavailable) as caught:
        open_devices([name])
    assert str(caught.value) == f'"{name}" is not a device; devices are cpu and cuda:0, cuda:1, …'


@pytest.mark.parametrize("lanes", [-1, usable_cores() + 1])
def test_lanes_are_cores_that_are_there(lanes: int) -> None:
    with pytest.raises(DeviceUnavailable, match=f"cpu: {lanes} lanes were requested, but this process may use at most"):
        open_devices([], lanes)


@WITHOUT_GPU
def test_cuda_without_its_onnx_runtime_says_what_to_install() -> None:
    with pytest.raises(DeviceUnavailable, match=r"^cuda:0: onnxruntime-gpu is not installed; install chrion\[gpu\]"):
        open_devices(["cuda:0"])
    assert list(default_devices()) == ["cpu"]


def test_the_emulated_device_is_never_chosen_by_default_and_says_what_it_is() -> None:
    assert not any(name.startswith("emulated") for name in default_devices())
    assert key_of(open_devices(["emulated:0"])["emulated:0"]).product.startswith("emulated accelerator 0 on ")


def test_cores_are_those_of_the_affinity() -> None:
    program = """
import json, os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from chrion_runtime.devices import open_devices
from chrion_runtime.engines import key_of
device = open_devices([])["cpu"]
print(json.dumps([device.lanes, key_of(device).cores]))
"""
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=True
    )
    assert json.loads(done.stdout) == [["cpu/0"], 1]


def test_the_key_names_what_measurements_hold_for() -> None:
    key = key_of(open_devices([], 1)["cpu"])
    assert key.product
    assert key.cores == usable_cores()
    assert key.engines["onnxruntime"] == ort.__version__


def test_the_emulated_device_counts_what_it_holds() -> None:
    device = open_devices(["emulated:0"])["emulated:0"].memory
    assert device.used() == GpuBytes()
    source = np.arange(6, dtype=np.float32)
    value = device.put(source)
    slot = device.allocate(np.dtype(np.int64), (2, 3))
    assert device.used() == GpuBytes(activations=24 + 48)
    source[:] = 0
    assert device.get(value).tolist() == [0, 1, 2, 3, 4, 5]
    host = device.get(value)
    host[:] = 7
    assert device.get(value).tolist() == [0, 1, 2, 3, 4, 5]
    del value
    gc.collect()
    assert device.used() == GpuBytes(activations=48)
    device.write(slot, np.ones((2, 3), np.int64))
    del slot
    gc.collect()
    assert device.used() == GpuBytes()


def test_the_emulated_device_counts_weights_and_results(tmp_path: Path) -> None:
    device = open_devices(["emulated:0"])["emulated:0"]
    graph = normalised(find("gru-forward-l2-h16-s8-b1").build(), tmp_path)
    part = cut(graph, [next(index for index, node in enumerate(graph.nodes) if node.op_type == "GRU")])
    kernel = engine_named("onnxruntime").compile(part.write(graph.folder), Site(device, 1), {})
    weights = 4 * 3 * 16 * (16 + 16 + 2)
    assert device.memory.used() == GpuBytes(weights=weights)
    ports = Ports(
        *(tuple(value.name for value in values) for values in (part.model.graph.input, part.model.graph.output))
    )
    value = device.memory.put(np.ones((8, 1, 16), np.float32))
    results = kernel.run(ports, [value])
    sizes = sum(result.nbytes for result in results)
    assert sizes >= 8 * 16 * 4
    assert device.memory.used() == GpuBytes(weights=weights, activations=sizes + 8 * 16 * 4)
    del results, value, kernel
    gc.collect()
    assert device.memory.used() == GpuBytes()


def test_weights_inside_bodies_count(tmp_path: Path) -> None:
    device = open_devices(["emulated:0"])["emulated:0"]
    graph = normalised(MODELS["if-in-loop"].build(), tmp_path)
    loop = next(index for index, node in enumerate(graph.nodes) if node.op_type == "Loop")
    kernel = engine_named("onnxruntime").compile(cut(graph, [loop]).write(graph.folder), Site(device, 1), {})
    assert device.memory.used() == GpuBytes(weights=graph.constant_bytes(loop))
    del kernel


def test_sessions_take_no_time_to_plan_memory() -> None:
    # With it, ONNX Runtime takes 20 s to load a grid of 3,400 nodes whose shapes are open, and 0.2 s without.
    assert not session_options(1, Optimization.ALL, spin=False).enable_mem_reuse
