"""Plan a model on this machine or for a profile: what the commands and the Python face share."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

from chrion import cache
from chrion.errors import UsageError
from chrion_api import (
    EXACT,
    HOST,
    ChrionModelSpec,
    InputSpec,
    PlanFile,
    Precision,
    Profile,
    WeightFormat,
    rounds_weights,
)
from chrion_graph.errors import InvalidModel, LimitExceeded
from chrion_graph.graph import Graph
from chrion_graph.limits import Limits
from chrion_graph.load import checked_digest, read_model
from chrion_graph.recurrent import is_recurrent
from chrion_graph.samples import Sample, read_sample
from chrion_graph.worker import ForkServer
from chrion_planner.check import ModelCheck, blocking, check, check_blocked
from chrion_planner.partition import Budget
from chrion_planner.planner import make_profile, measured_plans, predicted_plans, unmeasured_plans
from chrion_planner.prepare import Prepared, prepare
from chrion_planner.profiling import Figures
from chrion_planner.progress import Progress, silent
from chrion_planner.refusals import asked, known
from chrion_planner.settings import PlanningSettings
from chrion_runtime.devices import default_devices, open_devices
from chrion_runtime.engines import engine_named, key_of

_RANDOM_SAMPLES = 3
"""Sets of random inputs on which plans that round weights are compared, besides those that all plans run with."""

_PREPARED, _PROFILED = 0.05, 0.4
"""The parts of planning that are behind when the model is prepared, and when it is profiled, about."""


def read_samples(files: Sequence[Path] | None, precision: Precision) -> tuple[Sample, ...]:
    """Inputs to compare answers on, from .npz files. Raises UsageError where nothing is rounded, and InputMismatch."""
    if files and precision.weights is WeightFormat.FLOAT32:
        raise UsageError("--sample: answers are compared where weights are rounded: give a precision too")
    return tuple(map(read_sample, files or ()))


@dataclass(frozen=True)
class PlanningTask:
    """A model to plan, and what to plan it for."""

    model: Path
    inputs: tuple[InputSpec, ...] = ()
    devices: tuple[str, ...] = ()
    """Empty for the CPU, and the first GPU where there is one."""
    cpu_lanes: int = 0
    timeout_seconds: float = 600.0
    limits: Limits = field(default_factory=Limits)
    progress: Progress = silent
    warn: Callable[[str], None] = silent
    precision: Precision = EXACT
    samples: tuple[Sample, ...] = ()
    """Inputs to compare answers on, where precision is given up."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """What of a ChrionModel's spec plans depend on, where it comes of one."""
    started: float = field(default_factory=time.monotonic)
    """What `timeout_seconds` counts from."""
    figures: Figures | None = field(default_factory=cache.DeviceFigures)
    """What is known of the devices."""
    server: ForkServer | None = None
    """Forks the processes in which models run."""

    @classmethod
    def of(
        cls,
        spec: ChrionModelSpec,
        model: Path,
        devices: tuple[str, ...] = (),
        progress: Progress = silent,
        warn: Callable[[str], None] = silent,
        samples: tuple[Sample, ...] = (),
    ) -> "PlanningTask":
        """What a ChrionModel asks for; `devices` in place of those that its `spec.devices` stands for."""
        return cls(
            model=model,
            inputs=spec.inputs,
            devices=devices or (() if spec.devices.gpu_resource else (HOST,)),
            cpu_lanes=spec.devices.cpu_lanes,
            timeout_seconds=spec.planner.timeout.seconds,
            progress=progress,
            warn=warn,
            precision=spec.precision or EXACT,
            samples=samples,
            asked=spec.plan_inputs(),
        )

    def settings(self) -> PlanningSettings:
        """What the planner may use; raises DeviceUnavailable."""
        found = open_devices(self.devices, self.cpu_lanes) if self.devices else default_devices(self.cpu_lanes)
        return PlanningSettings(
            devices=tuple(found),
            cpu_lanes=len(found[HOST].lanes),
            limits=self.limits,
            timeout_seconds=self.timeout_seconds,
            started=self.started,
            figures=self.figures,
            progress=self.progress,
            warn=self.warn,
            server=self.server,
            precision=self.precision,
        )

    def prepare(self, profile: Profile | None = None) -> Prepared:
        """The model normalised, its shapes known, for the devices of a profile or else those of this machine.

        Raises ModelError, DeviceUnavailable.
        """
        self.progress("preparing: reading the model", 0.0)
        model = cache.normalised(self.model, self.limits)
        refusals = known(profile, self.limits) if profile else asked(self.settings().devices, self.limits, self.server)
        self.progress("preparing: one run for each bucket", _PREPARED / 2)
        try:
            return prepare(
                self.model,
                model.digest,
                model.folder,
                self.inputs,
                self.limits,
                refusals,
                self.server,
                samples=self.samples,
                random_samples=0 if self.precision.weights is WeightFormat.FLOAT32 else _RANDOM_SAMPLES,
                warn=self.warn,
            )
        except (InvalidModel, LimitExceeded) as error:
            raise type(error)(f"{self.model}: {error}") from None


def checked(model: Path) -> ModelCheck:
    """What can be said of a model before it is planned. Raises ModelError."""
    limits = Limits()
    content = read_model(model, limits)
    if blocking(content):
        return check_blocked(model, content)
    graph = Graph.load(cache.normalised(model, limits).folder)
    return check(model, content, graph, engine_named("recurrent").problem(HOST))


def plan(task: PlanningTask) -> PlanFile:
    """Profile, partition and measure on this machine."""
    with closing(ForkServer(measured_plans)) as server:
        forking = replace(task, server=server)
        settings = forking.settings()
        prepared = forking.prepare()
        if prepared.fallback:
            task.warn(f"only the model as it is, in one session, is planned: {prepared.fallback}")
        if prepared.unrunnable:
            return unmeasured_plans(prepared, settings)
        _say_without_kernels(forking, prepared)
        found = make_profile(prepared, settings.step(_PREPARED, _PROFILED))
        _say_what_cannot_be_rounded(forking, found)
        return measured_plans(prepared, found, settings.step(_PROFILED, 1.0))


def plan_from_profile(task: PlanningTask, profile: Profile) -> PlanFile:
    """Plan for the devices of a profile; nothing is measured, and the same input gives the same bytes.

    Raises UsageError where the task names devices or lanes of its own.
    """
    if task.devices or task.cpu_lanes:
        raise UsageError("devices and lanes are those of the profile: leave --devices and --lanes out")
    prepared = _runnable(task.prepare(profile))
    task.progress(f"searching: plans for {len(prepared.buckets)} buckets", _PREPARED)
    return predicted_plans(prepared, profile, Budget())


def profile(task: PlanningTask) -> Profile:
    """Measure what the model's nodes cost on the devices of this machine, whatever is known of them."""
    with closing(ForkServer(make_profile)) as server:
        forking = replace(task, server=server, timeout_seconds=inf, figures=cache.DeviceFigures(write_only=True))
        prepared = _runnable(forking.prepare())
        _say_without_kernels(forking, prepared)
        return make_profile(prepared, forking.settings().step(_PREPARED, 1.0))


def _runnable(prepared: Prepared) -> Prepared:
    """What was prepared. Raises InvalidModel where nothing can be measured of it."""
    if prepared.unrunnable:
        raise InvalidModel(f"{prepared.model}: {prepared.fallback}")
    return prepared


def _say_without_kernels(task: PlanningTask, prepared: Prepared) -> None:
    """Warn where layers that kernels of our own could run are left to ONNX Runtime alone."""
    graph = prepared.buckets[0].variants[0].bucket.graph
    if any(map(is_recurrent, graph.nodes)) and (problem := engine_named("recurrent").problem(HOST)):
        task.warn(f"LSTM, GRU and RNN run by ONNX Runtime alone: {problem}")


def _say_what_cannot_be_rounded(task: PlanningTask, found: Profile) -> None:
    """Warn where rounding was allowed and no kernel can make use of it."""
    wanted = task.precision.weights
    measured = [run.options for device in found.devices for run in device.wholes]
    measured += [run.options for device in found.devices for run in device.parts]
    if wanted is not WeightFormat.FLOAT32 and not any(map(rounds_weights, measured)):
        task.warn(f"no weights are rounded to {wanted}: no layer of this model runs by Chrion's recurrent kernels")


def cached_plan(task: PlanningTask, replan: bool = False) -> tuple[PlanFile, bool]:
    """The plan from the cache, else planned and kept there; whether it was there already."""
    settings = task.settings()
    keys = {name: key_of(device) for name, device in open_devices(settings.devices, settings.cpu_lanes).items()}
    sha = checked_digest(task.model, task.limits)
    asked = {"inputs": [spec.to_data() for spec in task.inputs], **task.asked}
    if task.precision.weights is not WeightFormat.FLOAT32:
        samples = [hashlib.sha256(sample.path.read_bytes()).hexdigest() for sample in task.samples]
        asked |= {"precision": task.precision.to_data(), "samples": samples}
    path = cache.plan_path(sha, asked, keys, settings.cpu_lanes)
    if not replan and (kept := cache.plan(path)):
        return kept, True
    found = plan(task)
    if not found.truncated:
        cache.keep_plan(path, found)
    return found, False
