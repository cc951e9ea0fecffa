"""What a model serves by: its objective and the plans in use. Requests read it, and a move to other plans writes it."""

import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

from chrion_api import HOST, Frontier, Objective, Plan, PlanFile
from chrion_graph.graph import Graph
from chrion_runtime.choice.ladder import Rung, gpu_bytes, ladder, rung_for, selections
from chrion_runtime.errors import UnfitValues
from chrion_runtime.run.compiled_plan import CompiledPlan, compile_plan
from chrion_runtime.run.executor import Executor
from chrion_runtime.run.loading import Loader, ServedBucket, alone
from chrion_runtime.run.whole_plan import whole_plan
from chrion_runtime.servable import Figure, StageObserver

log = logging.getLogger(__name__)

PlanCompiler = Callable[[Path, Sequence[Plan]], Sequence[CompiledPlan]]
"""Compiles plans of the normalised model in a folder, such as in another process."""


class PlansInUse:
    """The plans in use. `buckets` is exchanged in one assignment: a request runs on what it read, to its end."""

    def __init__(
        self,
        name: str,
        loader: Loader,
        graph: Graph,
        plan_file: PlanFile,
        objective: Objective,
        compiling: PlanCompiler | None = None,
    ) -> None:
        """Load what the objective selects, compiled by `compiling` or here and now. Raises ChrionError."""
        self.name = name
        loader.admit(plan_file)
        self.loader = loader
        self.objective = objective
        self.frontiers: tuple[Frontier, ...] = plan_file.buckets
        self.rungs = ladder(plan_file.buckets, objective)
        self.rung = self.rungs[rung_for(self.rungs, objective)]
        self.buckets: tuple[ServedBucket, ...] = ()
        self._observers: list[StageObserver] = []
        self._leaving: list[tuple[weakref.ref[Executor], Plan]] = []
        self._guard = threading.Lock()
        self._unassuming: Executor | None = None
        loader.machine.move_in(name, self._takes, self.rung.plans, loader.devices, loader.store.limit)
        try:
            plans = self.rung.plans
            compiled_plans = (
                compiling(loader.model.folder, plans) if compiling else [compile_plan(graph, plan) for plan in plans]
            )
            self._load(compiled_plans)
        except BaseException:
            self.close()
            raise

    @property
    def objective(self) -> Objective:
        """What is pursued; sessions that are loaded from its setting on are held to its GPU memory."""
        return self._objective

    @objective.setter
    def objective(self, objective: Objective) -> None:
        self._objective = objective
        self.loader.store.limit = objective.gpu_memory.bytes if objective.gpu_memory is not None else None

    def _load(self, compiled_plans: Sequence[CompiledPlan]) -> None:
        single = alone(compiled_plans)
        self.loader.share_budget(compiled_plans)
        self.buckets = tuple(
            ServedBucket(frontier, selection, self._executor(compiled, frontier, single))
            for frontier, selection, compiled in zip(
                self.frontiers, selections(self.frontiers, self.rung, self.objective), compiled_plans, strict=True
            )
        )

    def _executor(self, compiled: CompiledPlan, frontier: Frontier, single: bool) -> Executor:
        """An executor that has run, unless the model fails on values that were made up for that."""
        try:
            return self.loader.load(compiled, frontier.inputs, single)[0]
        except UnfitValues as error:
            log.warning(
                "%s: %s: not warmed up, so the first requests take longer: %s; give inputs[].value (--value) to warm "
                "it with",
                self.name,
                frontier.label,
                error,
            )
            return self.loader.executor(compiled, frontier.inputs, single)

    def unassuming(self, bucket: ServedBucket) -> Executor:
        """An executor for requests of which the assumption of a bucket's plan does not hold: of the model as it is.

        It is loaded for the first such request, on the CPU. Raises PlanRefused.
        """
        with self._guard:
            if self._unassuming is None:
                log.warning(
                    "%s: a request differs from what plan %s assumes (%s), and so runs on the model as it is, as such "
                    "requests will; plan for their shapes and values too",
                    self.name,
                    bucket.selection.plan.name,
                    bucket.assumption,
                )
                graph = Graph.load(self.loader.model.folder)
                plan = whole_plan(graph, self.loader.devices[HOST].lanes)
                self._unassuming = self.loader.executor(compile_plan(graph, plan), bucket.frontier.inputs, alone=False)
            return self._unassuming

    def _takes(self) -> list[Plan]:
        """The plans whose memory counts: those that are loaded, or about to be."""
        return self.held or list(self.rung.plans)

    def observe(self, observer: StageObserver) -> None:
        """Have `observer` called after each stage, of plans that are still to come too."""
        self._observers.append(observer)
        for bucket in self.buckets:
            bucket.executor.observe(observer)

    def exchange(
        self, frontiers: Sequence[Frontier], rungs: Sequence[Rung], rung: Rung, buckets: Sequence[ServedBucket]
    ) -> None:
        """Serve by other plans from the next request on; what runs ends on the old ones, which are then freed."""
        before = self.buckets
        kept = [bucket.executor for bucket in before]
        for bucket in buckets:
            if bucket.executor not in kept:
                for observer in self._observers:
                    bucket.executor.observe(observer)
        self.frontiers, self.rungs, self.rung = tuple(frontiers), tuple(rungs), rung
        self.buckets = tuple(buckets)
        staying = [bucket.executor for bucket in buckets]
        self._leaving = [
            *((executor, plan) for executor, plan in self._leaving if executor() is not None),
            *(
                (weakref.ref(bucket.executor), bucket.selection.plan)
                for bucket in before
                if bucket.executor not in staying
            ),
        ]

    def check_room(self, plans: Sequence[Plan]) -> None:
        """Raise PlanRefused where a GPU has no room for these plans beside what is held, and beside other models."""
        self.loader.machine.check(self.name, self._takes, [*self.held, *plans], self.loader.devices)

    @property
    def held(self) -> list[Plan]:
        """The plans whose memory is taken: those in use, and those on which requests still end."""
        leaving = [plan for executor, plan in self._leaving if executor() is not None]
        return [*(bucket.selection.plan for bucket in self.buckets), *leaving]

    def settled(self, seconds: float, stop: threading.Event) -> bool:
        """Wait until no request runs on an earlier plan; whether none does, within this time."""
        deadline = time.monotonic() + seconds
        while len(self.held) > len(self.buckets):
            if time.monotonic() > deadline or stop.wait(0.01):
                return False
        return True

    def figures(self) -> list[Figure]:
        """Numbers for the metrics."""
        return [
            Figure("chrion_plan_gpu_bytes", "gauge", "GPU memory of the plans in use", {}, gpu_bytes(self.held)),
            Figure("chrion_sessions", "gauge", "Sessions that are loaded", {}, len(self.loader.store)),
        ]

    def close(self) -> None:
        """Release threads and sessions."""
        self.loader.lanes.close()
        self.loader.machine.move_out(self._takes)
        self.buckets = ()
