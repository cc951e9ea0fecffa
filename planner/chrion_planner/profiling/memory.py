"""Measure the device memory of sessions and nodes, where the device can tell what this process takes of it.

Runs inside a worker process.
"""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from chrion_planner.profiling.measured_kernel import MeasuredKernel, load
from chrion_runtime.devices import Device
from chrion_runtime.engines import Kernel

GRAIN = 2 << 20
"""What a GPU's driver hands out at once: a difference of less says nothing of what was asked for."""
_SESSIONS = 4
_WIDTH = 64


class Taken(NamedTuple):
    """Device memory in bytes."""

    loaded: int = 0
    """For as long as it is loaded."""
    running: int = 0
    """While it runs, besides what it reads and writes."""


def of_session(device: Device, folder: Path) -> Taken:
    """What each session takes besides its weights and values: the slope over sessions that run a tiny product."""
    if device.memory.used() is None:
        return Taken()
    found = [_taken(_product(), [np.ones((1, _WIDTH), np.float32)], device, folder) for _ in range(_SESSIONS + 1)]
    # The first one pays for what all share.
    loaded, running = (sum(each) // _SESSIONS for each in zip(*(taken for taken, _ in found[1:]), strict=True))
    return Taken(max(0, loaded - 4 * _WIDTH * _WIDTH), max(0, running))


def of_node(
    model: onnx.ModelProto,
    arrays: Sequence[NDArray[Any]],
    device: Device,
    folder: Path,
    session: Taken,
    predicted: Taken,
) -> Taken:
    """What a model of one node takes; as predicted where the device cannot tell, or tells nothing else beyond GRAIN.

    `session` is what any session takes.
    """
    if device.memory.used() is None:
        return predicted
    (loaded, running), held = _taken(model, arrays, device, folder)
    del held
    return Taken(_told(loaded - session.loaded, predicted.loaded), _told(running - session.running, predicted.running))


def _taken(
    model: onnx.ModelProto, arrays: Sequence[NDArray[Any]], device: Device, folder: Path
) -> tuple[Taken, Kernel]:
    """What a session takes, without what it reads and writes; and the session, which holds it while it lives."""
    before = _used(device)
    session = load(model, device, folder)
    loaded = _used(device)
    # Bound, as plans run: what a run without bound values takes, a device may give back at once.
    bound = MeasuredKernel(session, model, arrays, device)
    bound.run()
    return Taken(loaded - before, _used(device) - loaded - bound.nbytes), session


def _told(measured: int, predicted: int) -> int:
    return predicted if abs(measured - predicted) < GRAIN else max(0, measured)


def _used(device: Device) -> int:
    gc.collect()  # of values that nobody has any more
    used = device.memory.used()
    assert used is not None, "it could tell a moment ago"
    return used.total


def _product() -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, _WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, _WIDTH])],
        [onnx.numpy_helper.from_array(np.ones((_WIDTH, _WIDTH), np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
