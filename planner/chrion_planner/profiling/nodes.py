"""Measure one node of each signature on one device: copies of it in one session, and the slope over their number.

Runs inside a worker process. The slope leaves out the fixed cost of a run, which is far above that of a small node.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from chrion_api import HOST, ONNXRUNTIME, NodeCost
from chrion_graph.cut import SubModel, cut
from chrion_graph.graph import Graph
from chrion_graph.observe import evaluate
from chrion_graph.ort import brief
from chrion_planner.profiling.measured_kernel import MeasuredKernel, crowded_seconds, load
from chrion_planner.profiling.memory import Taken, of_node
from chrion_planner.progress import silent
from chrion_planner.stopwatch import median_seconds
from chrion_runtime.devices import Device
from chrion_runtime.engines import engine_named
from chrion_runtime.engines.onnxruntime.failure import is_out_of_memory

_COPIES = 9
_LARGE_SECONDS = 150e-6
"""A node that takes longer is measured alone, where the fixed cost of its run is lost in it, and on all lanes too."""
_LEAST_SECONDS = 1e-7

Values = Mapping[str, NDArray[Any]]


def values_of(graph: Graph, nodes: Collection[int], feeds: Values) -> Values:
    """All tensors that some nodes read, or those that they cannot be parted from, when the graph runs on `feeds`."""
    together = {node for index in nodes for node in graph.unit(index)}
    names = {name for node in together for name in graph.reads[node] if name in graph.types}
    return {**feeds, **evaluate(graph, feeds, names - feeds.keys())} if nodes else feeds


def node_cost(
    graph: Graph, index: int, values: Values, device: Device, session: Taken, told: Callable[[str], None] = silent
) -> NodeCost | None:
    """What a node costs that reads these values; None where it does not run there by itself: `told` is told why.

    One that cannot be parted from others costs as much as each of them: they run together. `session` is the device
    memory that any session takes, which is not the node's.
    """
    unit = graph.unit(index)
    sub_model = cut(graph, unit)
    arrays = [values[name] for name in sub_model.inputs]
    try:
        return _shared(_cost(graph, unit, sub_model, arrays, device, session), len(unit))
    except Exception as error:
        if device.name == HOST:
            if isinstance(error, MemoryError) or is_out_of_memory(str(error)):
                raise
            node = graph.nodes[index]
            told(f"{node.op_type} {node.name}".strip() + f" does not run by itself: {brief(error)}")
        return None


def scaled(cost: NodeCost | None, factor: float) -> NodeCost | None:
    """A cost with all its seconds multiplied."""
    if cost is None:
        return None
    seconds = {"seconds": cost.seconds, "wide_seconds": cost.wide_seconds, "crowded_seconds": cost.crowded_seconds}
    return cost.model_copy(update={name: value and value * factor for name, value in seconds.items()})


def _shared(cost: NodeCost, nodes: int) -> NodeCost:
    """The part of a cost that each of so many nodes has."""
    part = scaled(cost, 1 / nodes)
    assert part is not None
    return part.model_copy(update={"bytes": cost.bytes // nodes, "scratch_bytes": cost.scratch_bytes // nodes})


def _cost(
    graph: Graph,
    unit: Sequence[int],
    sub_model: SubModel,
    arrays: Sequence[NDArray[Any]],
    device: Device,
    session: Taken,
) -> NodeCost:
    seconds = _seconds(sub_model, arrays, device, graph.folder)
    wide = crowded = None
    if len(device.lanes) > 1:
        wide, crowded = _on_many_lanes(sub_model.model, arrays, device, graph.folder, seconds)
    taken = Taken()
    if device.name != HOST:
        predicted = Taken(engine_named(ONNXRUNTIME).bytes(graph, unit, device.name, {}).device)
        taken = of_node(sub_model.model, arrays, device, graph.folder, session, predicted)
    return NodeCost(
        seconds=max(seconds, _LEAST_SECONDS),
        wide_seconds=wide,
        crowded_seconds=crowded,
        bytes=taken.loaded,
        scratch_bytes=taken.running,
    )


def _on_many_lanes(
    model: onnx.ModelProto, arrays: Sequence[NDArray[Any]], device: Device, folder: Path, seconds: float
) -> tuple[float | None, float | None]:
    """The seconds of a node on all lanes at once, and on one while the others are busy; None where not worth it.

    Small nodes keep out of each other's way in the caches of a CPU. On an accelerator, whose lanes share everything,
    even they do not: what many in one session lose is what each does.
    """
    if device.name == HOST:
        if seconds <= _LARGE_SECONDS:
            return None, None
        return _time(model, arrays, device, folder, len(device.lanes)), _crowded_seconds(model, arrays, device, folder)
    several = model if seconds > _LARGE_SECONDS else copies(model, _COPIES)
    alone = _time(several, arrays, device, folder)
    return None, max(seconds, _LEAST_SECONDS) * max(1.0, _crowded_seconds(several, arrays, device, folder) / alone)


def _seconds(sub_model: SubModel, arrays: Sequence[NDArray[Any]], device: Device, folder: Path) -> float:
    once = _time(sub_model.model, arrays, device, folder)
    if once > _LARGE_SECONDS:
        return once
    many = _time(copies(sub_model.model, _COPIES), arrays, device, folder)
    return (many - once) / (_COPIES - 1)


def _crowded_seconds(model: onnx.ModelProto, arrays: Sequence[NDArray[Any]], device: Device, folder: Path) -> float:
    """Seconds of a run on one lane while a session of its own does the same on every other lane."""
    own, *others = [MeasuredKernel(load(model, device, folder), model, arrays, device) for _ in device.lanes]
    return crowded_seconds(own, others)


def _time(
    model: onnx.ModelProto, arrays: Sequence[NDArray[Any]], device: Device, folder: Path, lanes: int = 1
) -> float:
    return median_seconds(MeasuredKernel(load(model, device, folder, lanes), model, arrays, device).run)


def copies(model: onnx.ModelProto, count: int) -> onnx.ModelProto:
    """The model with each node `count` times, all reading the same, each making outputs of its own."""
    found = onnx.ModelProto()
    found.CopyFrom(model)
    for copy in range(1, count):
        for node in model.graph.node:
            again = found.graph.node.add()
            again.CopyFrom(node)
            again.name = ""  # two nodes of the same name are no model
            again.output[:] = [name and f"{name}.{copy}" for name in node.output]
        for value in model.graph.output:
            output = found.graph.output.add()
            output.CopyFrom(value)
            output.name = f"{value.name}.{copy}"
    return found
