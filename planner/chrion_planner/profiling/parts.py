"""Measure parts of a graph by the engines that take only some nodes, each part as one kernel.

Runs inside a worker process.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from chrion_api import HOST, PartCost, WeightFormat
from chrion_graph.cut import SubModel, cut
from chrion_graph.graph import Graph, Shapes
from chrion_graph.signature import part_signature
from chrion_planner.profiling.measured_kernel import MeasuredKernel, crowded_seconds
from chrion_planner.profiling.nodes import Values
from chrion_planner.stopwatch import median_seconds
from chrion_runtime.devices import Device
from chrion_runtime.engines import Site, engine_named, engines_on

_ABOUT = 0.1
"""Seconds of runs for a figure, at most."""


def parts_of(graph: Graph, shapes: Shapes, device: str) -> Iterator[tuple[str, frozenset[int], str]]:
    """Each part that some engine claims on a device: the engine, the nodes, and their signature."""
    for name in engines_on(device):
        for nodes in engine_named(name).claims(graph, device):
            if len(nodes) < len(graph.nodes):
                yield name, frozenset(nodes), part_signature(graph, nodes, shapes)


def part_runs(signature: str, engine: str, device: Device, weights: WeightFormat) -> Iterator[PartCost]:
    """The runs of a part that are worth measuring, with weights rounded so too; without their times."""
    for lanes in sorted({1, len(device.lanes) if device.traits.threads else 1}):
        for options in engine_named(engine).choices(lanes, weights):
            yield PartCost(signature=signature, engine=engine, lanes=lanes, options=options, seconds=1)


def part_cost(run: PartCost, graph: Graph, nodes: Collection[int], values: Values, device: Device) -> PartCost | None:
    """A run with its times; None where the engine cannot run the part."""
    part = cut(graph, nodes)
    arrays = [values[name] for name in part.inputs]
    try:
        kernel = _kernel(run, part, graph, arrays, device)
        seconds = median_seconds(kernel.run, _ABOUT)
        crowded = None
        if run.lanes == 1 and device.name == HOST and len(device.lanes) > 1:
            others = [_kernel(run, part, graph, arrays, device) for _ in device.lanes[1:]]
            crowded = max(seconds, crowded_seconds(kernel, others, _ABOUT))
    except Exception:  # noqa: BLE001, engines raise what they will; the part is run by another
        return None
    return run.model_copy(update={"seconds": seconds, "crowded_seconds": crowded})


def scaled(cost: PartCost | None, factor: float) -> PartCost | None:
    """A cost with its seconds multiplied."""
    if cost is None:
        return None
    crowded = cost.crowded_seconds and cost.crowded_seconds * factor
    return cost.model_copy(update={"seconds": cost.seconds * factor, "crowded_seconds": crowded})


def _kernel(
    run: PartCost, part: SubModel, graph: Graph, arrays: Sequence[NDArray[Any]], device: Device
) -> MeasuredKernel:
    path = part.write(graph.folder)
    kernel = engine_named(run.engine).compile(path, Site(device, run.lanes), run.options)
    return MeasuredKernel(kernel, part.model, arrays, device)
