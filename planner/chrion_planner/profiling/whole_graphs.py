"""Measure whole graphs on one device: with and without optimisation, on one lane and on all, and as CUDA graphs.

Runs inside a worker process.
"""

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from numpy.typing import NDArray

from chrion_api import HOST, ONNXRUNTIME, Optimization, Shape, Stage, Whole
from chrion_graph.graph import Graph
from chrion_planner.captures import can_be_captured
from chrion_planner.profiling.run_seconds import run_seconds
from chrion_planner.stopwatch import median_seconds
from chrion_runtime.devices import Device
from chrion_runtime.engines import Ports, Site, engine_named

_ABOUT = 0.2
"""Seconds of runs for each figure."""


def measure_whole_graphs(
    graph: Graph,
    file: str,
    inputs: Mapping[str, Shape],
    feeds: Mapping[str, NDArray[Any]],
    devices: Mapping[str, Device],
    device: Device,
    deadline: float,
) -> Iterator[Whole]:
    """The figures of a graph, which lies beside its weights as `file`; none where the device cannot run it.

    Several lanes of an accelerator are no threads of one session, so that there it is measured on one. After `deadline`
    (of `time.monotonic`) a few runs must do.
    """
    for lanes in sorted({1, len(device.lanes) if device.name == HOST else 1}):
        for optimization in Optimization:
            try:
                options = {"optimization": str(optimization)}
                kernel = engine_named(ONNXRUNTIME).compile(graph.folder / file, Site(device, lanes, spin=True), options)
                values = [device.memory.put(feeds[name]) for name in graph.inputs]
                run = partial(kernel.run, Ports(tuple(graph.inputs), tuple(graph.outputs)), values)
                seconds = median_seconds(run, _ABOUT if time.monotonic() < deadline else 0.0)
            except Exception:
                if device.name == HOST:
                    raise
                continue  # it does not fit, or together its nodes are something else than each alone
            whole = Whole(
                graph=graph.digest, inputs=dict(inputs), lanes=lanes, optimization=optimization, seconds=seconds
            )
            yield whole
            del run, kernel
            time.sleep(0.02)  # let its idle threads stop
            if device.name != HOST:
                yield from _captured(graph, whole, feeds, devices, device)


def _captured(
    graph: Graph, whole: Whole, feeds: Mapping[str, NDArray[Any]], devices: Mapping[str, Device], device: Device
) -> Iterator[Whole]:
    """The same as a CUDA graph, where it can be one: what the executor then takes less is taken off."""
    stage = Stage(
        nodes=tuple(range(len(graph.nodes))),
        lanes=(device.lanes[0],),
        options={"optimization": str(whole.optimization)},
        finish_seconds=1,
    )
    if not can_be_captured(graph, (stage,)):
        return
    try:
        plain, captured = (
            run_seconds(graph, [stage.with_options(capture=on)], feeds, devices, _ABOUT) for on in (False, True)
        )
    except Exception:  # noqa: BLE001, ONNX Runtime raises many types; without it there is only no such figure
        return
    # What the launches cost is no more than all.
    seconds = max(whole.seconds - max(0.0, plain - captured), whole.seconds / 100)
    yield whole.model_copy(update={"cuda_graph": True, "seconds": seconds})
