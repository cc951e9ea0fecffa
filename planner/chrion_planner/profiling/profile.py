"""Profile a model's graphs on every device, each device in a worker process of its own."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from chrion_api import (
    HOST,
    ONNXRUNTIME,
    DeviceProfile,
    NodeCost,
    PartCost,
    Profile,
    Shape,
    Transfer,
    WeightFormat,
    Whole,
)
from chrion_graph.files import write_aside
from chrion_graph.graph import Graph, Shapes
from chrion_graph.limits import Limits
from chrion_graph.model_worker import ModelWorker
from chrion_graph.signature import signatures
from chrion_graph.worker import ForkServer
from chrion_planner.profiling import calibrate, nodes, parts, whole_graphs
from chrion_planner.profiling.known import Figures, Known
from chrion_planner.profiling.memory import Taken, of_session
from chrion_planner.profiling.spells import Spells
from chrion_planner.progress import Progress
from chrion_runtime.devices import Device, open_devices, traits_of
from chrion_runtime.engines import engine_named, engines_on, key_of

_LONGEST_SECONDS = 86_400.0
"""A day, where there is no deadline."""


@dataclass(frozen=True)
class Variant:
    """A graph to profile, with the shapes and values it runs with."""

    graph: Graph
    inputs: Mapping[str, Shape]
    shapes: Shapes
    feeds: Mapping[str, NDArray[Any]]
    rewritten: bool = False
    parts: bool = True
    """Whether to measure the parts that some engine claims, too."""


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
    figures: Figures | None = None,
    weights: WeightFormat = WeightFormat.FLOAT32,
) -> Profile:
    """Measure every signature of every variant on every device, graphs as they are before those that are rewritten.

    `model` is the model's digest. Engines that can round weights to `weights` are measured with that too. What
    `figures` has is not measured again. After `deadline` (of `time.monotonic`) nothing more is measured: nodes, graphs
    or devices are then missing. Raises LimitExceeded where one measurement takes longer than the limits allow.
    """
    entries: list[DeviceProfile] = []
    links: list[Transfer] = []
    packed = [_Packed.of(variant) for variant in sorted(variants, key=lambda variant: variant.rewritten)]
    for position, (name, device) in enumerate(open_devices(devices, cpu_lanes).items()):
        if time.monotonic() > deadline:
            break

        def report(value: tuple[str, float], name: str = name, position: int = position) -> None:
            progress(f"profiling on {name}: {value[0]}", (position + value[1]) / len(devices))

        known = figures and figures.read(key_of(device), len(device.lanes))
        left = deadline - time.monotonic()
        # CUDA reserves far more address space than it uses.
        with ModelWorker(None if traits_of(name).reserves_address_space else limits.memory, server=server) as worker:
            found, copies, problems = worker.call(
                _profile_device,
                name,
                cpu_lanes,
                packed,
                known,
                left,
                weights,
                seconds=(left if isfinite(left) else _LONGEST_SECONDS) + limits.seconds,
                what=f"profiling on {name}",
                report=report,
            )
        if found is None:
            break
        for problem in problems:
            warn(f"profile of {name}: {problem}")
        if found.device.tainted:
            warn(f"profile of {name}: {found.device.tainted}")
        elif figures is not None:
            figures.keep(found)
        entries.append(found.device)
        links.extend(copies)
    return Profile(model=model, devices=tuple(entries), transfers=tuple(links))


@dataclass(frozen=True)
class _Packed:
    """A variant as it travels to a worker: the graph by its file."""

    file: str
    folder: Path
    inputs: Mapping[str, Shape]
    shapes: Shapes
    feeds: Mapping[str, NDArray[Any]]
    rewritten: bool
    parts: bool

    @classmethod
    def of(cls, variant: Variant) -> "_Packed":
        graph = variant.graph
        file = f"graph-{graph.digest[:16]}.onnx"
        write_aside(graph.folder / file, graph.model.SerializeToString())
        values = (dict(variant.inputs), dict(variant.shapes), dict(variant.feeds))
        return cls(file, graph.folder, *values, variant.rewritten, variant.parts)


def _profile_device(
    name: str,
    cpu_lanes: int,
    packed: Sequence[_Packed],
    known: Known | None,
    seconds_left: float,
    weights: WeightFormat,
    report: Callable[[tuple[str, float]], None],
) -> tuple[Known | None, tuple[Transfer, ...], tuple[str, ...]]:
    """The device's figures, as far as the time goes; None where it is over before there are any.

    Then what it takes to copy to and from it, and what does not run there, for people.
    """
    deadline = time.monotonic() + seconds_left
    devices = open_devices([name], cpu_lanes)
    device = devices[name]
    spells = Spells(len(device.lanes) if device.name == HOST else 1, deadline)
    known = known if known is not None and known.holds(spells.reference_seconds) else None
    report(("hops and hand-offs", 0.0))
    calibration = partial(calibrate.calibrated, device, devices, packed[0].folder)
    bare = known.device if known else next(spells.measured([calibration], calibrate.scaled), None)
    if bare is None:
        return None, (), ()
    session = of_session(device, packed[0].folder) if device.name != HOST else Taken()
    measuring = _Measuring(packed, device, devices, session, spells, known, weights)
    measuring.run(report)
    entry = bare.model_copy(
        update={
            "tainted": spells.tainted,
            "context_bytes": device.memory.context_bytes,
            "session_bytes": sum(session),
            "nodes": dict(sorted(measuring.nodes.items())),
            "wholes": tuple(measuring.wholes),
            "parts": tuple(measuring.parts.values()),
        }
    )
    found = Known(reference_seconds=spells.reference_seconds, device=entry)
    copies = calibrate.transfers(device) if device.name != HOST else ()
    return found, copies, tuple(measuring.problems)


class _Measuring:
    """What single nodes and whole graphs take on one device."""

    def __init__(
        self,
        packed: Sequence[_Packed],
        device: Device,
        devices: Mapping[str, Device],
        session: Taken,
        spells: Spells,
        known: Known | None,
        weights: WeightFormat,
    ) -> None:
        self._packed, self._weights = packed, weights
        self._device, self._devices, self._session = device, devices, session
        self._spells = spells
        self._known_nodes = known.device.nodes if known else {}
        self._known_wholes = known.device.wholes if known else ()
        self._known_parts = known.device.parts if known else ()
        self.nodes: dict[str, NodeCost | None] = {}
        self.wholes: list[Whole] = []
        self.parts: dict[str, PartCost] = {}
        """By the run, without its times."""
        self.problems: list[str] = []
        """What does not run, for people."""

    def run(self, report: Callable[[tuple[str, float]], None]) -> None:
        """Measure what is not known, while there is time; each report says what, and the part that is behind."""
        graphs = {pack.file: Graph.load(pack.folder, pack.file) for pack in self._packed}
        for position, pack in enumerate(self._packed):

            def tell(what: str, done: float, position: int = position) -> None:
                report((what, (position + done) / len(self._packed)))

            graph = graphs[pack.file]
            self._measure_nodes(graph, pack, tell)
            # Of what a device refuses ONNX Runtime would run a part elsewhere.
            if all(self.nodes.get(signature) for signature in signatures(graph, pack.shapes)):
                self._measure_whole(graph, pack, tell)
            if pack.parts:
                self._measure_parts(graph, pack, tell)

    def _measure_nodes(self, graph: Graph, pack: _Packed, tell: Callable[[str, float], None]) -> None:
        wanted: dict[str, int] = {}
        for index, signature in enumerate(signatures(graph, pack.shapes)):
            if self._known_nodes.get(signature) or (signature in self._known_nodes and self._device.name != HOST):
                self.nodes[signature] = self._known_nodes[signature]
            elif signature not in self.nodes:
                wanted.setdefault(signature, index)
        if not (wanted and self._spells.in_time):
            return
        values = nodes.values_of(graph, wanted.values(), pack.feeds)

        def job(number: int, index: int) -> NodeCost | None:
            tell(graph.nodes[index].op_type, 0.6 * number / len(wanted))
            return nodes.node_cost(graph, index, values, self._device, self._session, self.problems.append)

        jobs = [partial(job, number, index) for number, index in enumerate(wanted.values())]
        self.nodes.update(zip(wanted, self._spells.measured(jobs, nodes.scaled), strict=False))

    def _measure_whole(self, graph: Graph, pack: _Packed, tell: Callable[[str, float], None]) -> None:
        engines = [
            name
            for name in engines_on(self._device.name)
            if name == ONNXRUNTIME or not pack.rewritten or (pack.parts and not engine_named(name).optimizes)
        ]
        wanted = []
        for run in whole_graphs.whole_runs(
            graph, pack.inputs, self._device, engines, not pack.rewritten, self._weights
        ):
            if known := list(self._known(run)):
                self.wholes += known
            else:
                wanted.append(run)

        def job(number: int, run: Whole) -> list[Whole]:
            tell("whole graphs", 0.6 + 0.4 * number / len(wanted))
            return whole_graphs.measured_run(run, graph, pack.file, pack.feeds, self._devices, self._device)

        jobs = [partial(job, number, run) for number, run in enumerate(wanted)]
        for found in self._spells.measured(jobs, whole_graphs.scaled):
            self.wholes += found

    def _measure_parts(self, graph: Graph, pack: _Packed, tell: Callable[[str, float], None]) -> None:
        known = {_unmeasured(cost).to_json(): cost for cost in self._known_parts}
        wanted: dict[str, tuple[PartCost, frozenset[int]]] = {}
        for engine, members, signature in parts.parts_of(graph, pack.shapes, self._device.name):
            for run in parts.part_runs(signature, engine, self._device, self._weights):
                key = run.to_json()
                if key in known:
                    self.parts[key] = known[key]
                elif key not in self.parts:
                    wanted[key] = run, members
        if not (wanted and self._spells.in_time):
            return
        values = nodes.values_of(
            graph, sorted({node for _, members in wanted.values() for node in members}), pack.feeds
        )

        def job(run: PartCost, members: frozenset[int]) -> PartCost | None:
            tell("recurrent layers", 1.0)
            return parts.part_cost(run, graph, members, values, self._device)

        jobs = [partial(job, *each) for each in wanted.values()]
        for key, found in zip(wanted, self._spells.measured(jobs, parts.scaled), strict=False):
            if found is not None:
                self.parts[key] = found

    def _known(self, run: Whole) -> Iterator[Whole]:
        """The run with its time, and the same as a CUDA graph, where they are known."""
        for other in self._known_wholes:
            options = {name: value for name, value in other.options.items() if name != "capture"}
            if other.model_copy(update={"options": options, "seconds": run.seconds}) == run:
                yield other


def _unmeasured(cost: PartCost) -> PartCost:
    return cost.model_copy(update={"seconds": 1, "crowded_seconds": None})
