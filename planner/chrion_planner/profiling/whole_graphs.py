"""Measure whole graphs on one device: by each engine, on one lane and on all, and as CUDA graphs.

Runs inside a worker process.
"""

import time
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any

from numpy.typing import NDArray

from chrion_api import HOST, ONNXRUNTIME, Shape, Stage, WeightFormat, Whole
from chrion_graph.graph import Graph
from chrion_planner.captures import can_be_captured
from chrion_planner.profiling.run_seconds import run_seconds
from chrion_planner.stopwatch import median_seconds
from chrion_runtime.devices import Device
from chrion_runtime.engines import Ports, Site, engine_named

_ABOUT = 0.1
"""Seconds of runs for a figure, at most."""


def whole_runs(
    graph: Graph,
    inputs: Mapping[str, Shape],
    device: Device,
    engines: Collection[str],
    plain: bool,
    weights: WeightFormat = WeightFormat.FLOAT32,
) -> Iterator[Whole]:
    """The runs of a graph that are worth measuring, by each engine that takes all of it there; without their times.

    Several lanes of an accelerator are no threads of one kernel, so that there it is measured on one. With ONNX Runtime
    as it is by default, and `plain` too: without optimisation. With `weights` rounded so too.
    """
    everything = range(len(graph.nodes))
    for engine in map(engine_named, engines):
        if not engine.takes(graph, everything, device.name):
            continue
        for lanes in sorted({1, len(device.lanes) if device.traits.threads else 1}):
            for options in engine.choices(lanes, weights):
                if plain or options or engine.name != ONNXRUNTIME:
                    yield Whole(
                        graph=graph.digest,
                        inputs=dict(inputs),
                        lanes=lanes,
                        engine=engine.name,
                        options=options,
                        seconds=1,
                    )


def measured_run(
    run: Whole,
    graph: Graph,
    file: str,
    feeds: Mapping[str, NDArray[Any]],
    devices: Mapping[str, Device],
    device: Device,
) -> list[Whole]:
    """A run of the graph, which lies beside its weights as `file`, with its time; then the same as a CUDA graph.

    Nothing where the device cannot run it.
    """
    try:
        whole = run.model_copy(update={"seconds": _seconds(run, graph, file, feeds, device)})
    except Exception:
        if device.name == HOST and run.engine == ONNXRUNTIME:
            raise
        return []  # it does not fit, or together its nodes are something else than each alone
    time.sleep(0.02)  # let its idle threads stop
    return [whole, *_captured(graph, whole, feeds, devices, device)]


def scaled(runs: list[Whole], factor: float) -> list[Whole]:
    """The runs with their seconds multiplied."""
    return [run.model_copy(update={"seconds": run.seconds * factor}) for run in runs]


def _seconds(run: Whole, graph: Graph, file: str, feeds: Mapping[str, NDArray[Any]], device: Device) -> float:
    site = Site(device, run.lanes, spin=True)
    kernel = engine_named(run.engine).compile(graph.folder / file, site, run.options)
    values = [device.memory.put(feeds[name]) for name in graph.inputs]
    ports = Ports(tuple(graph.inputs), tuple(graph.outputs))
    return median_seconds(partial(kernel.run, ports, values), _ABOUT)


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
