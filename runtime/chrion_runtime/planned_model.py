"""A model with its plans, ready to answer: what the server serves and what Python programs use."""

import threading
from collections.abc import Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any

import numpy as np

from chrion_api import HOST, SLO, Frontier, InputSpec, Mode, Objective, PlanFile, Shape, StateLink
from chrion_graph.deciding import deciding_inputs
from chrion_graph.graph import Graph
from chrion_graph.load import graphs
from chrion_graph.recurrent import RECURRENT
from chrion_graph.types import TensorType
from chrion_runtime.choice.selection import Selection
from chrion_runtime.devices.run_memory import RUN_MEMORY
from chrion_runtime.errors import OutOfMemory, PlanRefused, RunError, UnfitValues
from chrion_runtime.live import Live, Pilot
from chrion_runtime.live.plans_in_use import PlanCompiler, PlansInUse
from chrion_runtime.run.executor import SLOTS
from chrion_runtime.run.loading import Loader, NormalisedModel, ServedBucket, nearest
from chrion_runtime.run.machine import Machine
from chrion_runtime.run.state_transfer import StateTransfer, shapes_of
from chrion_runtime.sequences import Sequences, SequenceStore, state_links
from chrion_runtime.servable import Array, Figure, SequenceStep, StageObserver, TensorSpec
from chrion_runtime.stop import Stop

__all__ = ["NormalisedModel", "PlannedModel"]


class PlannedModel:
    """Runs a model by the plans that its objective selects, one for each bucket of shapes.

    `run` may be called from many threads. Requests of other shapes run on the nearest bucket's plan.
    """

    def __init__(
        self,
        model: NormalisedModel,
        plan_file: PlanFile,
        *,
        name: str = "model",
        slo: SLO | None = None,
        mode: Mode = Mode.AUTO,
        inputs: Sequence[InputSpec] = (),
        state: Sequence[StateLink] = (),
        sequences: SequenceStore | None = None,
        any_device: bool = False,
        live: Live | None = None,
        machine: Machine | None = None,
        compiling: PlanCompiler | None = None,
    ) -> None:
        """`inputs` says what to warm with where random numbers or zeros will not do, and what state starts with.

        `state` says which outputs feed which inputs within a sequence, `sequences` how many are kept and for how long.
        `live` has files watched and the objective kept while the model serves. `machine` is what other models of the
        process share, where there are some. `compiling` compiles the plans where that should not hold up this process.

        Raises StateRefused where the model has no such state; PlanRefused where the plan does not fit the model, beside
        other models or, unless `any_device`, these devices; DeviceUnavailable; RunError where the model fails on its
        first run.
        """
        self.name = name
        graph = Graph.load(model.folder)
        self._defaults = graph.defaults
        self.inputs = tuple(_spec(name, kind, name in graph.defaults) for name, kind in graph.inputs.items())
        self.outputs = tuple(_spec(name, kind) for name, kind in graph.outputs.items())
        # ONNX Runtime ends the whole process at a recurrent node with nothing to run over.
        self._recurrent = any(node.op_type in RECURRENT for body in graphs(graph.model) for node in body.node)
        self._dtypes = {spec.name: spec.dtype for spec in self.inputs}
        self.deciding = deciding_inputs(graph.model.graph)
        """Inputs whose values decide how much a run does."""
        self._guard = threading.Lock()
        self.off_profile = 0
        self.state = state_links(state, graph.inputs, graph.outputs)
        """The input that each output feeds within a sequence."""
        loader = Loader(model, graph.inputs, inputs, any_device, machine, graph.defaults)
        self._in_use = PlansInUse(name, loader, graph, plan_file, Objective.of(slo or SLO(), mode), compiling)
        kinds = {name: kind for name, kind in graph.inputs.items() if kind is not None}
        self._sequences = Sequences(
            self.state, kinds, loader.devices[HOST].memory, sequences, loader.values, graph.defaults
        )
        self._pilot = Pilot(name, self._in_use, live, lambda: self.off_profile) if live is not None else None

    @property
    def ready(self) -> bool:
        """Whether it can be run now: always, in this process."""
        return True

    @property
    def hop_seconds(self) -> float:
        """What it takes to hand a request over, beside the run: nothing, in this process."""
        return 0.0

    @property
    def concurrency(self) -> int:
        """Requests that may be in `run` at once without waiting for each other's values."""
        return SLOTS

    @property
    def slo(self) -> SLO:
        """The objective that is pursued."""
        return self._in_use.objective.slo

    @property
    def mode(self) -> Mode:
        """What is minimised; never Auto."""
        return self._in_use.objective.resolved

    @property
    def in_use(self) -> tuple[tuple[Frontier, Selection], ...]:
        """For each bucket, the plans that there are, and the one that serves, and why."""
        return tuple((bucket.frontier, bucket.selection) for bucket in self._in_use.buckets)

    @property
    def deadline(self) -> float | None:
        """The objective's latency in seconds; None where it has none."""
        latency = self._in_use.objective.latency
        return None if latency is None else latency.seconds

    @property
    def selections(self) -> tuple[Selection, ...]:
        """The plan that serves each bucket, and why."""
        return tuple(bucket.selection for bucket in self._in_use.buckets)

    @property
    def sequences(self) -> SequenceStore:
        """The sequences whose state is kept."""
        return self._sequences.store

    def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None = None,
        sequence: SequenceStep | None = None,
        observer: StageObserver | None = None,
        stop: Stop | None = None,
    ) -> dict[str, Array]:
        """Answer one request; `outputs` picks some of the outputs. The arrays belong to the caller.

        Inputs that have a default may be left out. Within a `sequence` the inputs that take state are left out, and
        outputs that hold it are answered where `outputs` names them. `observer` is called after each stage of this run;
        `stop` ends it early. Raises RunError for inputs that are missing, unknown or of another element type, and where
        the model fails; UnfitValues where that is the inputs' fault; RunStopped; SequenceLost for a sequence that
        has no state here.
        """
        names = self._dtypes.keys() - (self._sequences.inputs if sequence else ())
        if inputs.keys() != names:
            inputs = {**{name: self._defaults[name] for name in names & self._defaults.keys()}, **inputs}
        if inputs.keys() != names:
            missing, unknown = names - inputs.keys(), inputs.keys() - names
            raise RunError(
                f"inputs: missing {sorted(missing)}, unknown {sorted(unknown)}; the model takes {list(self._dtypes)}"
            )
        feeds = {name: np.asarray(array, order="C") for name, array in inputs.items()}
        for name, array in feeds.items():
            if array.dtype != self._dtypes[name]:
                raise RunError(f"inputs.{name}: is {array.dtype}, the model takes {self._dtypes[name]}")
            if self._recurrent and not array.size:
                raise UnfitValues(f"inputs.{name}: has an axis of length 0, which recurrent models do not take")
        if sequence is None:
            answer = self._answer(feeds, observer=observer, stop=stop)
        else:
            once = partial(self._answer, observer=observer, stop=stop)
            answer = self._sequences.run(sequence, feeds, outputs, once, stop)
        if outputs is None:
            return answer
        if absent := [name for name in outputs if name not in answer]:
            raise RunError(f"outputs: the model has no {absent}; it has {list(answer)}")
        return {name: answer[name] for name in outputs}

    def _answer(
        self,
        feeds: Mapping[str, Array],
        transfer: StateTransfer | None = None,
        observer: StageObserver | None = None,
        stop: Stop | None = None,
    ) -> dict[str, Array]:
        shapes = shapes_of(feeds, transfer)
        bucket = self._nearest(shapes)
        executor = bucket.executor
        if bucket.assumption is not None and not bucket.assumption.holds(shapes, feeds):
            executor = self._in_use.unassuming(bucket)
        if transfer is not None:
            self._sequences.begin(transfer, feeds, bucket.frontier.inputs)
        try:
            return executor.run(feeds, transfer, observer, stop)
        except OutOfMemory as error:
            if not error.on_host:
                raise
        # What earlier runs left in the arena is in its way no more.
        RUN_MEMORY.trim()
        try:
            return executor.run(feeds, transfer, observer, stop)
        except OutOfMemory as error:
            failed = copy(error)  # without the frames, which hold the values of the run
        raise RUN_MEMORY.after_trimming(failed)

    def _nearest(self, shapes: Mapping[str, Shape]) -> ServedBucket:
        bucket, distance = nearest(self._in_use.buckets, shapes)
        if distance:
            with self._guard:
                self.off_profile += 1
        return bucket

    def answered(self, seconds: float) -> None:
        """Told of each answered request, with the seconds from the request read to the answer written; infinity for
        one that was turned away because it would have waited too long."""
        if self._pilot is not None:
            self._pilot.observations.answered(seconds)

    def describe_plan(self) -> dict[str, Any]:
        """The plan in use for each bucket and why, as JSON data; with what is seen and was moved, where it is live."""
        objective = self._in_use.objective
        return {
            "model": self.name,
            "mode": objective.resolved.value,
            "slo": objective.slo.to_data(),
            "offProfileRequests": self.off_profile,
            "sessions": len(self._in_use.loader.store),
            "buckets": [
                {
                    "inputs": {name: list(shape) for name, shape in bucket.frontier.inputs.items()},
                    "reason": bucket.selection.reason,
                    "meetsSLO": bucket.selection.meets_slo,
                    "plan": bucket.selection.plan.to_data(),
                    "frontier": [plan.name for plan in bucket.frontier.plans],
                }
                for bucket in self._in_use.buckets
            ],
            **(self._pilot.describe() if self._pilot is not None else {}),
        }

    def figures(self) -> list[Figure]:
        """Numbers for the metrics, as they are now."""
        found = self._in_use.figures()
        if self.state:
            found += self.sequences.figures()
        return found if self._pilot is None else [*found, *self._pilot.figures()]

    def observe(self, observer: StageObserver) -> None:
        """Have `observer` called after each stage."""
        self._in_use.observe(observer)

    def close(self) -> None:
        """Release threads and sessions; `run` must not be called afterwards."""
        if self._pilot is not None:
            self._pilot.close()
        self._in_use.close()


def _spec(name: str, kind: TensorType | None, optional: bool = False) -> TensorSpec:
    if kind is None:
        raise PlanRefused(
            f'"{name}" is no tensor; models with sequence or optional values at their border are not supported'
        )
    shape = None if kind.shape is None else tuple(axis if isinstance(axis, int) else None for axis in kind.shape)
    return TensorSpec(name, kind.dtype, shape, optional)
