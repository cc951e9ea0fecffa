"""Load compiled plans: check that they fit the model and this machine, make their sessions, warm them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, log
from pathlib import Path

from chrion_api import DeviceKey, Frontier, InputSpec, PlanFile, Shape, bucket_label
from chrion_graph.inputs import NO_DEFAULTS, sample
from chrion_graph.rewrite.inline_ifs import Assumption, assumption
from chrion_graph.types import TensorType
from chrion_runtime.choice.selection import Selection
from chrion_runtime.devices import HOST, Device, open_devices
from chrion_runtime.devices.run_memory import RUN_MEMORY
from chrion_runtime.engines import engine_named, key_of
from chrion_runtime.engines.identity import identity
from chrion_runtime.errors import PlanRefused, UnfitValues
from chrion_runtime.run.arena_budget import arena_budgets
from chrion_runtime.run.compiled_plan import CompiledPlan
from chrion_runtime.run.executor import Executor
from chrion_runtime.run.kernels import KernelStore
from chrion_runtime.run.lanes import Lanes
from chrion_runtime.run.loaded_plan import LoadedPlan
from chrion_runtime.run.machine import Machine
from chrion_runtime.servable import Array


@dataclass(frozen=True)
class NormalisedModel:
    """A normalised model's folder, and the digest of the file that it was made from."""

    folder: Path
    digest: str


@dataclass(frozen=True)
class ServedBucket:
    """The plan in use for one set of shapes."""

    frontier: Frontier
    selection: Selection
    executor: Executor

    @cached_property
    def assumption(self) -> Assumption | None:
        """What the plan takes for granted of a request; None where nothing."""
        return assumption(self.selection.plan.rewrites)

    def distance(self, shapes: Mapping[str, Shape]) -> float:
        """How far a request's shapes are from this bucket's: the sum over axes of the logarithm of their ratio."""
        total = 0.0
        for name, shape in shapes.items():
            planned = self.frontier.inputs[name]
            if len(shape) != len(planned):
                return inf
            total += sum(abs(log((one + 1) / (other + 1))) for one, other in zip(shape, planned, strict=True))
        return total


def nearest(buckets: Sequence[ServedBucket], shapes: Mapping[str, Shape]) -> tuple[ServedBucket, float]:
    """The bucket whose shapes are nearest to a request's, and how far they are."""
    for bucket in buckets:
        # Most requests have the shapes of a bucket, and that is quickly seen.
        if bucket.frontier.inputs == shapes:
            return bucket, 0.0
    distances = [bucket.distance(shapes) for bucket in buckets]
    best = min(range(len(distances)), key=distances.__getitem__)
    return buckets[best], distances[best]


class Loader:
    """Makes executors of one model's plans, over lanes, devices and sessions that they all share."""

    def __init__(
        self,
        model: NormalisedModel,
        inputs: Mapping[str, TensorType | None],
        specs: Sequence[InputSpec],
        any_device: bool,
        machine: Machine | None = None,
        defaults: Mapping[str, Array] = NO_DEFAULTS,
    ) -> None:
        """`specs` says what to warm with where random numbers or zeros will not do, and `defaults` what inputs hold
        that are not sent; `machine` is what other models of
        the process share, where there are some."""
        self.model = model
        self.machine = machine or Machine()
        self.lanes = Lanes(self.machine.locks)
        self.store = KernelStore(spin=machine is None)
        self._inputs = dict(inputs)
        self._defaults = defaults
        self.values = {spec.name: spec.value for spec in specs if spec.value is not None}
        self._any_device = any_device
        self.devices: dict[str, Device] = {}

    def admit(self, plan_file: PlanFile) -> None:
        """Open the devices of a plan file, and check that it was made for this model and, unless told, for them.

        Raises PlanRefused, DeviceUnavailable.
        """
        if plan_file.model != self.model.digest:
            raise PlanRefused(
                f"the plan was made for model {plan_file.model[:12]}, this is {self.model.digest[:12]}: plan again"
            )
        for frontier in plan_file.buckets:
            if frontier.inputs.keys() != self._inputs.keys():
                raise PlanRefused(f"the plan is for inputs {list(frontier.inputs)}, the model has {list(self._inputs)}")
        wanted = [name for name in (HOST, *plan_file.devices) if name not in self.devices]
        if wanted:
            # Only now are they kept, and never opened twice: sessions are shared by device.
            opened = open_devices(wanted)
            self.devices |= {name: opened[name] for name in dict.fromkeys(wanted)}
            self.lanes.alike = self.devices[HOST].lanes
        if not self._any_device:
            for name, key in plan_file.devices.items():
                _check(name, self.devices[name], key, plan_file.engines_on(name))

    def share_budget(self, compiled_plans: Sequence[CompiledPlan]) -> None:
        """Hold the sessions of plans that are to serve side by side, and are not loaded yet, to the budget together."""
        budget = self.store.limit
        self.store.arena_budgets = {} if budget is None else arena_budgets(compiled_plans, budget)

    def load(
        self, compiled: CompiledPlan, shapes: Mapping[str, Shape], alone: bool
    ) -> tuple[Executor, dict[str, Array]]:
        """An executor that has run once, and what it answered; `alone` says that no other plan serves beside it.

        Where the model fails on zeros it is run on ones. Raises PlanRefused, UnfitValues where it fails on both, and
        other RunErrors where it fails on its first run.
        """
        executor = self.executor(compiled, shapes, alone)
        _, answer = self.answered(executor.warm, shapes)
        RUN_MEMORY.settle()
        return executor, answer

    def executor(self, compiled: CompiledPlan, shapes: Mapping[str, Shape], alone: bool) -> Executor:
        """An executor that has not run yet. Raises PlanRefused."""
        return Executor(LoadedPlan(compiled, self.devices, self.store, alone, bucket_label(shapes)), self.lanes)

    def answered(
        self, run: Callable[[Mapping[str, Array]], dict[str, Array]], shapes: Mapping[str, Shape]
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Values of these shapes that the model can be run on, and what `run` makes of them.

        Raises InputMismatch, and what `run` does: UnfitValues where it fails on zeros and on ones.
        """
        try:
            feeds = sample(self._inputs, shapes, self.values, defaults=self._defaults)
            return feeds, run(feeds)
        except UnfitValues:
            feeds = sample(self._inputs, shapes, self.values, defaults=self._defaults, other=1)
            return feeds, run(feeds)


def _check(name: str, device: Device, key: DeviceKey, engines: Collection[str]) -> None:
    for engine in engines:
        if problem := engine_named(engine).problem(name):
            raise PlanRefused(f"the plan wants the engine {engine}: {problem}")
    if changed := key.changed(key_of(device), engines):
        raise PlanRefused(
            f"the plan was measured on another {name}: {', '.join(changed)}; plan again, or say --any-device"
        )


def alone(compiled_plans: Sequence[CompiledPlan]) -> bool:
    """Whether these plans are one kernel in all, whose idle threads may wait actively."""
    kernels = {
        identity(stage, file.path)
        for one in compiled_plans
        for stage, file in zip(one.plan.stages, one.files, strict=True)
    }
    return len(kernels) == 1 and all(len(one.files) == 1 for one in compiled_plans)
