"""Profile a model's graphs on every device, each device in a worker process of its own."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from chrion_api import HOST, ONNXRUNTIME, DeviceProfile, NodeCost, Profile, Shape, Transfer, Whole
from chrion_graph.files import write_aside
from chrion_graph.graph import Graph, Shapes
from chrion_graph.limits import Limits
from chrion_graph.model_worker import ModelWorker
from chrion_graph.signature import signatures
from chrion_graph.worker import ForkServer
from chrion_planner.profiling.cache import cache_points
from chrion_planner.profiling.calibrate import handoff_seconds, launch_and_hop_seconds, transfers
from chrion_planner.profiling.interference import Interference
from chrion_planner.profiling.memory import Taken, of_session
from chrion_planner.profiling.nodes import measure_nodes
from chrion_planner.profiling.whole_graphs import measure_whole_graphs
from chrion_runtime.devices import open_devices, traits_of
from chrion_runtime.engines import engines_on, key_of

ATTEMPTS = 2
"""Times that a device is profiled, at most, where other work runs on it."""

Progress = Callable[[str, float], None]
"""Told what is being done, and the part of this step that is behind, from 0 to 1."""


@dataclass(frozen=True)
class Variant:
    """A graph to profile, with the shapes and values it runs with."""

    graph: Graph
    inputs: Mapping[str, Shape]
    shapes: Shapes
    feeds: Mapping[str, NDArray[Any]]


def profile_devices(
    model: str,
    variants: Sequence[Variant],
    devices: Sequence[str],
    cpu_lanes: int,
    limits: Limits,
    progress: Progress,
    *,
    warn: Callable[[str], None],
    deadline: float,
    server: ForkServer | None = None,
) -> Profile:
    """Measure every signature of every variant on every device.

    `model` is the model's digest. A device that other work ran on meanwhile is measured again, while there is time
    until `deadline` (of `time.monotonic`), after which the rest is measured in haste. Raises LimitExceeded where a
    device takes longer than the limits allow.
    """
    entries: list[DeviceProfile] = []
    links: list[Transfer] = []
    for position, name in enumerate(devices):

        def report(value: tuple[str, float], name: str = name, position: int = position) -> None:
            progress(f"profiling on {name}: {value[0]}", (position + value[1]) / len(devices))

        # CUDA reserves far more address space than it uses.
        memory = None if traits_of(name).reserves_address_space else limits.memory
        for attempt in range(ATTEMPTS):
            with ModelWorker(memory, server=server) as worker:
                entry, copies = worker.call(
                    _profile_device,
                    name,
                    cpu_lanes,
                    [_Packed.of(variant) for variant in variants],
                    deadline - time.monotonic(),
                    seconds=limits.seconds,
                    what=f"profiling on {name}",
                    report=report,
                )
            again = attempt + 1 < ATTEMPTS and time.monotonic() < deadline
            if entry.tainted:
                warn(f"profile of {name}: {entry.tainted}" + ("; measuring again" if again else ""))
            if not (entry.tainted and again):
                break
        entries.append(entry)
        links.extend(copies)
    return Profile(model=model, devices=tuple(entries), transfers=tuple(links))


@dataclass(frozen=True)
class _Packed:
    """A variant as it travels to a worker: the graph by its file."""

    file: str
    folder: Any
    inputs: Mapping[str, Shape]
    shapes: Shapes
    feeds: Mapping[str, NDArray[Any]]

    @classmethod
    def of(cls, variant: Variant) -> "_Packed":
        graph = variant.graph
        file = f"graph-{graph.digest[:16]}.onnx"
        write_aside(graph.folder / file, graph.model.SerializeToString())
        return cls(file, graph.folder, dict(variant.inputs), dict(variant.shapes), dict(variant.feeds))


def _profile_device(
    name: str,
    cpu_lanes: int,
    packed: Sequence[_Packed],
    seconds_left: float,
    report: Callable[[tuple[str, float]], None],
) -> tuple[DeviceProfile, tuple[Transfer, ...]]:
    deadline = time.monotonic() + seconds_left
    devices = open_devices([name], cpu_lanes)
    device = devices[name]
    folder = packed[0].folder
    watch = Interference(len(device.lanes) if device.name == HOST else 1)
    report(("hops and hand-offs", 0.0))
    launch, hop = launch_and_hop_seconds(device, devices, folder)
    handoff = handoff_seconds(device, devices, folder)
    cache = cache_points(device, folder) if device.name == HOST else ()
    empty = of_session(device, folder) if device.name != HOST else Taken()
    graphs = {pack.file: Graph.load(pack.folder, pack.file) for pack in packed}
    nodes: dict[str, NodeCost | None] = {}
    wholes: list[Whole] = []
    for position, pack in enumerate(packed):
        graph = graphs[pack.file]
        wanted = {
            signature: index
            for index, signature in reversed(list(enumerate(signatures(graph, pack.shapes))))
            if signature not in nodes
        }
        left = len(wanted)

        def node_report(op_type: str, start: float = position / len(packed), count: int = left) -> None:
            nonlocal left
            left -= 1
            report((op_type, start + (1 - left / max(count, 1)) * 0.9 / len(packed)))

        nodes |= measure_nodes(graph, wanted, pack.feeds, device, node_report, deadline, empty)
        report(("whole graphs", (position + 0.95) / len(packed)))
        # Of what a device refuses ONNX Runtime would run a part elsewhere.
        if all(nodes[signature] for signature in signatures(graph, pack.shapes)):
            # Other engines rewrite graphs themselves: what they gain shows on the graph as it is.
            engines = engines_on(name) if position == 0 else [ONNXRUNTIME]
            wholes += measure_whole_graphs(
                graph, pack.file, pack.inputs, pack.feeds, devices, device, engines, deadline
            )
    entry = DeviceProfile(
        name=name,
        key=key_of(device),
        lanes=len(device.lanes),
        hop_seconds=hop,
        handoff_seconds=handoff,
        launch_seconds=launch,
        cache=cache,
        tainted=watch.verdict(),
        context_bytes=device.memory.context_bytes,
        session_bytes=sum(empty),
        nodes=dict(sorted(nodes.items())),
        wholes=tuple(wholes),
    )
    return entry, transfers(device) if device.name != HOST else ()
