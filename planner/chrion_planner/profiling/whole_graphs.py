"""Measure whole graphs on one device: by each engine, on one lane and on all, and as CUDA graphs.

Runs inside a worker process.
"""

import time
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any

from numpy.typing import NDArray

from chrion_api import HOST, ONNXRUNTIME, Shape, Stage, Whole
from chrion_graph.graph import Graph
from chrion_planner.captures import can_be_captured
from chrion_planner.profiling.run_seconds import run_seconds
from chrion_planner.stopwatch import median_seconds
from chrion_runtime.devices import Device
from chrion_runtime.engines import Engine, Ports, Site, engine_named

_ABOUT = 0.2
"""Seconds of runs for each figure."""


def measure_whole_graphs(
    graph: Graph,
    file: str,
    inputs: Mapping[str, Shape],
    feeds: Mapping[str, NDArray[Any]],
    devices: Mapping[str, Device],
    device: Device,
    engines: Collection[str],
    deadline: float,
) -> Iterator[Whole]:
    """The figures of a graph, which lies beside its weights as `file`, by each engine that takes all of it there.

    None where the device cannot run it. Several lanes of an accelerator are no threads of one kernel, so that there it
    is measured on one. After `deadline` (of `time.monotonic`) a few runs must do.
    """
    everything = range(len(graph.nodes))
    for engine in map(engine_named, engines):
        if not any(set(everything) <= set(claimed) for claimed in engine.claims(graph, device)):
            continue
        for lanes in sorted({1, len(device.lanes) if device.traits.threads else 1}):
            for options in engine.choices:
                run = Whole(
                    graph=graph.digest, inputs=dict(inputs), lanes=lanes, engine=engine.name, options=options, seconds=1
                )
                try:
                    seconds = _seconds(engine, run, graph, file, feeds, device, deadline)
                except Exception:
                    if device.name == HOST and engine.name == ONNXRUNTIME:
                        raise
                    continue  # it does not fit, or together its nodes are something else than each alone
                whole = run.model_copy(update={"seconds": seconds})
                yield whole
                time.sleep(0.02)  # let its idle threads stop
                yield from _captured(graph, whole, feeds, devices, device)


def _seconds(
    engine: Engine,
    run: Whole,
    graph: Graph,
    file: str,
    feeds: Mapping[str, NDArray[Any]],
    device: Device,
    deadline: float,
) -> float:
    kernel = engine.compile(graph.folder / file, Site(device, run.lanes, spin=True), run.options)
    values = [device.memory.put(feeds[name]) for name in graph.inputs]
    ports = Ports(tuple(graph.inputs), tuple(graph.outputs))
    return median_seconds(partial(kernel.run, ports, values), _ABOUT if time.monotonic() < deadline else 0.0)


def _captured(
    graph: Graph, whole: Whole, feeds: Mapping[str, NDArray[Any]], devices: Mapping[str, Device], device: Device
) -> Iterator[Whole]:
    """The same as a CUDA graph, where it can be one: what the executor then takes less is taken off."""
    stage = Stage(
        nodes=tuple(range(len(graph.nodes))),
        lanes=(device.lanes[0],),
        engine=whole.engine,
        options=whole.options,
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
    yield whole.model_copy(update={"options": {**whole.options, "capture": True}, "seconds": seconds})
