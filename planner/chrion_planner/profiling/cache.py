"""Measure what a run takes longer when other sessions have pushed its weights out of the caches.

Stages that hold the same weights share a session, others do not: a plan whose sessions hold more than the caches do
reads its weights from memory in every stage, which no node measured alone ever shows.

Runs inside a worker process.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from chrion_api import CachePoint
from chrion_planner.profiling.measured_kernel import load, ports_of
from chrion_planner.stopwatch import median_seconds
from chrion_runtime.devices import Device
from chrion_runtime.engines import Kernel, Ports

_WIDTH = 512
_WEIGHTS = 4 * 2 * _WIDTH * _WIDTH
"""Bytes of one session's weights: two square matrices, about what a recurrent layer has."""
_STEPS = 6
_SESSIONS = (1, 2, 4, 8, 16, 32)


def cache_points(device: Device, folder: Path) -> tuple[CachePoint, ...]:
    """The extra seconds a byte for more and more sessions that take turns; never less for more of them."""
    kernels: list[tuple[Kernel, Ports]] = []
    feeds = np.zeros((_STEPS, 1, _WIDTH), np.float32)
    alone = 0.0
    most = 0.0
    points: list[CachePoint] = []
    model = _model()  # each session has weights of its own, though they are the same
    for count in _SESSIONS:
        while len(kernels) < count:
            kernels.append((load(model, device, folder), ports_of(model)))

        def turns() -> None:
            for kernel, ports in kernels:
                kernel.run(ports, [feeds])

        seconds = median_seconds(turns, about_seconds=0.04) / count
        alone = alone or seconds
        most = max(most, (seconds - alone) / _WEIGHTS)
        points.append(CachePoint(bytes=count * _WEIGHTS, seconds_per_byte=most))
    return tuple(points)


def _model() -> onnx.ModelProto:
    """A recurrent layer: it reads its weights again in every step, as what this is for does."""
    draw = np.random.default_rng(0).standard_normal
    weights = [
        onnx.numpy_helper.from_array((0.01 * draw((1, _WIDTH, _WIDTH))).astype(np.float32), name) for name in "wr"
    ]
    graph = helper.make_graph(
        [helper.make_node("RNN", ["x", "w", "r"], ["", "y"], hidden_size=_WIDTH)],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [_STEPS, 1, _WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, _WIDTH])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
