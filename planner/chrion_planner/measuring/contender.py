"""Contenders: ways to run a model that are measured against each other. They live inside worker processes."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from numpy.typing import NDArray

from chrion_api import HOST, GpuBytes, GpuBytesFrom, Plan
from chrion_graph.graph import Graph
from chrion_graph.limits import free_bytes
from chrion_runtime.devices import open_devices, traits_of
from chrion_runtime.devices.run_memory import RUN_MEMORY
from chrion_runtime.engines.onnxruntime.baseline import plain_session
from chrion_runtime.run.compiled_plan import compile_plan
from chrion_runtime.run.executor import Executor
from chrion_runtime.run.kernels import KernelStore
from chrion_runtime.run.lanes import Lanes
from chrion_runtime.run.loaded_plan import LoadedPlan

Arrays = dict[str, NDArray[Any]]
Feeds = Mapping[str, NDArray[Any]]

_WARMING = 0.2
"""The part of a turn's seconds that warming takes, and a turn at least."""
_MANY = 100
"""Runs that tell enough of what is so short."""
_SLICE, _SETTLED, _MOST_SETTLING = 0.005, 0.1, 0.5
"""A process has settled when it works for less than this part of a slice, in seconds; some never do."""


@dataclass(frozen=True)
class Used:
    """GPU memory that a process takes."""

    bytes: GpuBytes
    source: GpuBytesFrom


class Runner(Protocol):
    """A contender that is loaded and can be run."""

    def run(self) -> Arrays:
        """One run; the outputs by name."""

    def used(self) -> Used | None:
        """GPU memory it takes; None where that cannot be told."""


class Contender(Protocol):
    """What to run; travels to the worker that runs it."""

    @property
    def name(self) -> str:
        """Its name in results."""

    @property
    def needs_address_space(self) -> bool:
        """True for CUDA, which reserves far more than it uses, so that no limit can be set."""

    def load(self) -> Runner:
        """Load it, in the worker."""


@dataclass(frozen=True)
class PlanContender:
    """A plan, run by the runtime's own executor as it would serve."""

    plan: Plan
    folder: Path
    devices: tuple[str, ...]
    cpu_lanes: int
    feeds: Feeds

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def needs_address_space(self) -> bool:
        return any(traits_of(device).reserves_address_space for device in self.plan.devices)

    def load(self) -> Runner:
        return _PlanRunner(self)


class _PlanRunner:
    """Beside the runs it keeps the seconds of each stage."""

    def __init__(self, contender: PlanContender) -> None:
        wanted = [name for name in contender.devices if name in contender.plan.devices]
        self._devices = open_devices(wanted, contender.cpu_lanes)
        loaded = LoadedPlan(compile_plan(Graph.load(contender.folder), contender.plan), self._devices, KernelStore())
        self._executor = Executor(loaded, Lanes())
        self._feeds = dict(contender.feeds)
        self._executor.warm(self._feeds)
        sessions = [stage.kernel for stage in loaded.stages]
        self.sessions = tuple(map(sessions.index, sessions))
        self.stages: list[list[float]] = [[] for _ in sessions]
        self._executor.observe(lambda stage, _, seconds: self.stages[stage.index].append(seconds))

    def run(self) -> Arrays:
        return self._executor.run(self._feeds)

    def used(self) -> Used | None:
        memories = [device.memory for device in self._devices.values() if not device.memory.on_host]
        used = [(memory.used(), memory.used_from) for memory in memories]
        known = [(item, source) for item, source in used if item is not None]
        if len(known) < len(used):
            return None
        total = GpuBytes(
            weights=sum(item.weights for item, _ in known),
            activations=sum(item.activations for item, _ in known),
            workspace=sum(item.workspace for item, _ in known),
            context=sum(item.context for item, _ in known),
        )
        by_device = any(source is GpuBytesFrom.DEVICE for _, source in known)
        return Used(total, GpuBytesFrom.DEVICE if by_device else GpuBytesFrom.PROCESS)


@dataclass(frozen=True)
class SessionContender:
    """The original model in one plain ONNX Runtime session, as people run it without Chrion.

    `threads` 0 is ONNX Runtime's default: all cores. Every optimisation is on, which is its default too.
    """

    name: str
    model: Path
    feeds: Feeds
    threads: int = 0
    device: str = HOST
    parallel: bool = False
    """Whether independent nodes run side by side (ORT_PARALLEL)."""

    @property
    def needs_address_space(self) -> bool:
        return traits_of(self.device).reserves_address_space

    def load(self) -> Runner:
        return _SessionRunner(self)


class _SessionRunner:
    def __init__(self, contender: SessionContender) -> None:
        self._device = open_devices([contender.device])[contender.device]
        self._session = plain_session(contender.model, contender.threads, self._device, contender.parallel)
        self._names = [output.name for output in self._session.get_outputs()]
        self._feeds = dict(contender.feeds)

    def run(self) -> Arrays:
        return dict(zip(self._names, self._session.run(self._names, self._feeds), strict=True))

    def used(self) -> Used | None:
        used = self._device.memory.used()
        return None if used is None else Used(used, self._device.memory.used_from)


@dataclass(frozen=True)
class Loaded:
    """What a contender is once it is loaded."""

    outputs: Arrays
    """What it answers."""
    used: Used | None
    """GPU memory it takes; None where that cannot be told."""
    sessions: tuple[int, ...]
    """For each stage the first one that runs in the same session; empty where there are no stages."""


@dataclass(frozen=True)
class TurnTimes:
    """What a contender took in one turn."""

    runs: list[float]
    """Seconds of each run."""
    stages: list[float]
    """Median seconds of each stage; empty where there are no stages."""


_runner: Runner | None = None
"""The contender of this worker process."""


def prepare(contender: Contender) -> Loaded:
    """Load the worker's contender and run it once."""
    global _runner
    sys.setswitchinterval(50e-6)  # as the server has it: lanes must not wait for each other's interpreter lock
    RUN_MEMORY.hold_to(free_bytes())  # the worker's own limit says what is too much
    _runner = contender.load()
    outputs = _runner.run()
    _settle()
    return Loaded(outputs, _runner.used(), _runner.sessions if isinstance(_runner, _PlanRunner) else ())


def turn(seconds: float, least: int, idle: float = 0.0) -> TurnTimes:
    """One turn of the worker's contender, after a little warming: runs for about `seconds`, each after `idle` ones.

    For less where many runs have been timed by then.
    """
    assert _runner is not None, "prepare comes first"
    _runs(_runner, seconds * _WARMING, 1)
    stages = _runner.stages if isinstance(_runner, _PlanRunner) else []
    for stage in stages:
        stage.clear()
    times = _runs(_runner, seconds, least, idle)
    _settle()
    return TurnTimes(times, [median(stage) for stage in stages])


def _runs(runner: Runner, seconds: float, least: int, idle: float = 0.0) -> list[float]:
    """Seconds of each of so many runs as take about so long together, with what they wait before each, or of many."""
    times: list[float] = []
    began = now = time.perf_counter()
    while len(times) < least or (now < began + seconds and (len(times) < _MANY or now < began + seconds * _WARMING)):
        if idle:
            time.sleep(idle)
            now = time.perf_counter()
        runner.run()
        before, now = now, time.perf_counter()
        times.append(now - before)
    return times


def _settle() -> None:
    """Wait until this process idles: threads may spin on for 60 ms, and none of that may fall into the next turn."""
    until = time.perf_counter() + _MOST_SETTLING
    busy = _SETTLED
    while busy >= _SETTLED * _SLICE and time.perf_counter() < until:
        began = time.process_time()
        time.sleep(_SLICE)
        busy = time.process_time() - began
