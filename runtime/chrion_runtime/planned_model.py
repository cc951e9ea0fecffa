"""A model with its plans, ready to answer: what the server serves and what Python programs use."""

import threading
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

from chrion_api import HOST, SLO, Frontier, InputSpec, Mode, Objective, PlanFile, Shape, StateLink
from chrion_graph.deciding import deciding_inputs
from chrion_graph.graph import Graph
from chrion_runtime.border import Border, holds_recurrent, picked
from chrion_runtime.choice.selection import Selection
from chrion_runtime.devices.run_memory import RUN_MEMORY
from chrion_runtime.errors import OutOfMemory
from chrion_runtime.live import Live, Pilot
from chrion_runtime.live.plans_in_use import PlanCompiler, PlansInUse
from chrion_runtime.run.executor import SLOTS
from chrion_runtime.run.loading import Loader, NormalisedModel, ServedBucket, nearest
from chrion_runtime.run.machine import Machine
from chrion_runtime.run.state_transfer import StateTransfer, shapes_of
from chrion_runtime.sequences import Sequences, SequenceStore, state_links
from chrion_runtime.servable import Array, Figure, SequenceStep, StageObserver
from chrion_runtime.stop import Stop

__all__ = ["Hosting", "NormalisedModel", "PlannedModel"]


@dataclass(frozen=True)
class Hosting:
    """What surrounds a model while it runs, beside its plans and objective; the defaults are for one that is alone."""

    sequences: SequenceStore | None = None
    """How many sequences are kept, and for how long; None for the usual."""
    any_device: bool = False
    """Whether plans that were measured on other devices may serve here."""
    live: Live | None = None
    """What is watched while the model serves, so that its plans follow; None for nothing."""
    machine: Machine | None = None
    """What several models of one process share."""
    compiling: PlanCompiler | None = None
    """Compiles the plans where that should not hold up this process, which does so itself otherwise."""


ALONE = Hosting()


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
        hosting: Hosting = ALONE,
    ) -> None:
        """`inputs` says what to warm with where random numbers or zeros will not do, and what state starts with.

        `state` says which outputs feed which inputs within a sequence.

        Raises StateRefused where the model has no such state; PlanRefused where the plan does not fit the model, beside
        other models or, unless `hosting.any_device`, these devices; DeviceUnavailable; RunError where the model fails
        on its first run.
        """
        self.name = name
        graph = Graph.load(model.folder)
        self._border = Border(graph.inputs, graph.outputs, holds_recurrent(graph.model), graph.defaults)
        self.inputs, self.outputs = self._border.inputs, self._border.outputs
        self.deciding = deciding_inputs(graph.model.graph)
        """Inputs whose values decide how much a run does."""
        self._guard = threading.Lock()
        self.off_profile = 0
        self.state = state_links(state, graph.inputs, graph.outputs)
        """The input that each output feeds within a sequence."""
        loader = Loader(model, graph.inputs, inputs, hosting.any_device, hosting.machine, graph.defaults)
        self._in_use = PlansInUse(name, loader, graph, plan_file, Objective.of(slo or SLO(), mode), hosting.compiling)
        kinds = {name: kind for name, kind in graph.inputs.items() if kind is not None}
        self._sequences = Sequences(
            self.state, kinds, loader.devices[HOST].memory, hosting.sequences, loader.values, graph.defaults
        )
        live = hosting.live
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
        feeds = self._border.feeds(inputs, self._sequences.inputs if sequence else ())
        if sequence is None:
            answer = self._answer(feeds, observer=observer, stop=stop)
        else:
            once = partial(self._answer, observer=observer, stop=stop)
            answer = self._sequences.run(sequence, feeds, outputs, once, stop)
        return picked(answer, outputs)

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
        assumption = bucket.assumption
        if assumption is not None and not assumption.holds(shapes, feeds, bucket.frontier.inputs):
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

    def forget(self, scope: str) -> None:
        """Give up the state of all sequences of a scope, each as soon as none of its requests runs."""
        self.sequences.forget(scope)

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
