"""Measure what a device costs whatever the model: runs, hops, hand-offs, copies, caches.

Runs inside a worker process, with the runtime's own executor on a chain of nodes that do next to nothing.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from chrion_api import HOST, DeviceProfile, Stage, Transfer
from chrion_graph.graph import Graph
from chrion_planner.profiling.cache import cache_points
from chrion_planner.profiling.run_seconds import run_seconds
from chrion_planner.stopwatch import median_seconds
from chrion_runtime.devices import Device
from chrion_runtime.engines import key_of

_LINKS = 8
_SMALL, _LARGE = 64, 4 << 20
_ROWS, _WIDTH = 16, 512
"""Products that keep one lane busy while the other idles: some hundred microseconds each."""


def calibrated(device: Device, devices: Mapping[str, Device], folder: Path) -> DeviceProfile:
    """The device's profile, without any node or graph. Models are written to `folder`."""
    launch, hop = launch_and_hop_seconds(device, devices, folder)
    return DeviceProfile(
        name=device.name,
        key=key_of(device),
        lanes=len(device.lanes),
        hop_seconds=hop,
        handoff_seconds=handoff_seconds(device, devices, folder),
        launch_seconds=launch,
        cache=cache_points(device, folder) if device.name == HOST else (),
    )


def scaled(profile: DeviceProfile, factor: float) -> DeviceProfile:
    """What `calibrated` measured, with all its seconds multiplied."""
    points = [point.model_copy(update={"seconds_per_byte": point.seconds_per_byte * factor}) for point in profile.cache]
    return profile.model_copy(
        update={
            "hop_seconds": profile.hop_seconds * factor,
            "handoff_seconds": profile.handoff_seconds * factor,
            "launch_seconds": profile.launch_seconds * factor,
            "cache": tuple(points),
        }
    )


def launch_and_hop_seconds(device: Device, devices: Mapping[str, Device], folder: Path) -> tuple[float, float]:
    """Fixed cost of a run of several stages, and of each stage on the same lane."""
    lane = device.lanes[0]
    long = _chain_seconds([lane] * (2 * _LINKS), devices, folder)
    short = _chain_seconds([lane] * _LINKS, devices, folder)
    hop = max(0.0, (long - short) / _LINKS)
    return max(0.0, short - _LINKS * hop), hop


def handoff_seconds(device: Device, devices: Mapping[str, Device], folder: Path) -> float:
    """Cost of starting a stage on the device when its last input came from another lane; copies not counted.

    Each lane idles while the other works, as lanes do in real plans: one that has idled for long takes longer to wake.
    """
    other = device.lanes[1] if len(device.lanes) > 1 else devices[HOST].lanes[-1]
    lanes = [device.lanes[0], other]
    if lanes[0] == lanes[1]:
        return 0.0
    chain = _working_chain(_LINKS, folder)
    there = _run_seconds(chain, lanes * (_LINKS // 2), devices)
    here = [_run_seconds(chain, [lane] * _LINKS, devices) for lane in lanes]
    return max(0.0, there - sum(here) / 2) / (_LINKS - 1)


def transfers(device: Device) -> tuple[Transfer, Transfer]:
    """The cost of copies from the host to the device, and back, as values cross: from and to pinned memory."""
    seconds = {}
    for nbytes in (_SMALL, _LARGE):
        dtype, shape = np.dtype(np.float32), (nbytes // 4,)
        there, here = device.memory.allocate(dtype, shape), device.memory.host(dtype, shape)
        here[...] = 0  # memory that nobody has touched is not there yet
        seconds["in", nbytes] = median_seconds(partial(device.memory.write, there, here))
        seconds["out", nbytes] = median_seconds(partial(device.memory.read, there, here))
    return (
        _transfer(HOST, device.name, seconds["in", _SMALL], seconds["in", _LARGE]),
        _transfer(device.name, HOST, seconds["out", _SMALL], seconds["out", _LARGE]),
    )


def _transfer(source: str, target: str, small: float, large: float) -> Transfer:
    bandwidth = (_LARGE - _SMALL) / max(large - small, 1e-9)
    return Transfer(source=source, target=target, latency_seconds=small, bytes_per_second=bandwidth)


def _chain_seconds(lanes: list[str], devices: Mapping[str, Device], folder: Path) -> float:
    return _run_seconds(_chain(len(lanes), folder), lanes, devices)


def _run_seconds(graph: Graph, lanes: list[str], devices: Mapping[str, Device]) -> float:
    """Median seconds of a run of the graph with each node a stage of its own."""
    stages = [
        Stage(nodes=(index,), lanes=(lane,), start_seconds=index, finish_seconds=index + 1)
        for index, lane in enumerate(lanes)
    ]
    feeds = {
        "x": np.ones([axis.dim_value for axis in graph.model.graph.input[0].type.tensor_type.shape.dim], np.float32)
    }
    return run_seconds(graph, stages, feeds, devices, about_seconds=0.05)


def _chain(length: int, folder: Path) -> Graph:
    """A chain of nodes that do next to nothing; each other one differs, so that neighbours share no session."""
    names = ["x", *(f"v{index}" for index in range(length - 1)), "y"]
    nodes = [helper.make_node(("Neg", "Abs")[index % 2], [names[index]], [names[index + 1]]) for index in range(length)]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [_SMALL // 4]) for name in names]
    graph = helper.make_graph(nodes, "chain", values[:1], values[-1:], value_info=values[1:-1])
    return Graph(onnx.helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder)


def _working_chain(length: int, folder: Path) -> Graph:
    """A chain of products that keep a lane busy for a while each; all share one session."""
    names = ["x", *(f"v{index}" for index in range(length - 1)), "y"]
    nodes = [helper.make_node("MatMul", [names[index], "w"], [names[index + 1]]) for index in range(length)]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [_ROWS, _WIDTH]) for name in names]
    weight = onnx.numpy_helper.from_array(np.full((_WIDTH, _WIDTH), 1 / _WIDTH, np.float32), "w")
    graph = helper.make_graph(nodes, "chain", values[:1], values[-1:], [weight], value_info=values[1:-1])
    return Graph(onnx.helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder)
