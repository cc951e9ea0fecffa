"""Run a loaded plan for one request after another: stages start as soon as what they read is there."""

import queue
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from chrion_api.one_line import one_line
from chrion_graph.types import STRING
from chrion_runtime.devices import Tensor
from chrion_runtime.devices.run_memory import RUN_MEMORY
from chrion_runtime.errors import OutOfMemory, OverMemory, RunError, RunStopped, RuntimeFailure
from chrion_runtime.run.lanes import Inbox, Lanes
from chrion_runtime.run.loaded_plan import LoadedPlan, LoadedStage
from chrion_runtime.run.state_transfer import StateTransfer, shapes_of
from chrion_runtime.run.values import LooseValues, Slot, Values
from chrion_runtime.servable import Array, StageObserver
from chrion_runtime.stop import Stop

SLOTS = 2
"""Requests whose values are bound in advance; more wait for one of them to end."""


class Executor:
    """Runs one loaded plan; many threads may call `run` at once.

    The caller's own thread runs the stages of the plan's home lane, so that a plan over one lane costs no hand-off.
    Only stages that are captured and replayed always run on their lane's worker.
    """

    def __init__(self, loaded: LoadedPlan, lanes: Lanes, slots: int = SLOTS) -> None:
        self.loaded = loaded
        self._lanes = lanes
        self._slot_count = slots
        self._bound: tuple[dict[str, tuple[int, ...]], queue.SimpleQueue[Slot]] | None = None
        self._observers: tuple[StageObserver, ...] = ()
        first = loaded.stages[0]
        # Without copies and hand-overs there is nothing to keep account of.
        self._single_on_host = len(loaded.stages) == 1 and first.device.memory.on_host and not loaded.passed_through
        self._single = len(loaded.stages) == 1 and not first.captured
        lanes.open(loaded.lanes, workers=not self._single)

    def observe(self, observer: StageObserver) -> None:
        """Have `observer` called after each stage."""
        self._observers += (observer,)

    def warm(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once and bind slots for these shapes; returns the answer. Raises RunError.

        On devices with a memory of their own each slot runs once, too: what it needs is there then, and its stages that
        are to be captured are.
        """
        example = LooseValues(self.loaded)
        answer = self._fly(example, feeds, None, self._observers, None)
        kinds = [self.loaded.compiled.types[name] for name in self.loaded.memories]
        # One stage on the host allocates its own results, and strings cannot be bound.
        bindable = len(self.loaded.stages) > 1 or bool(self.loaded.crossing)
        if bindable and all(kind.element != STRING for kind in kinds):
            slots: queue.SimpleQueue[Slot] = queue.SimpleQueue()
            for _ in range(self._slot_count):
                slot = Slot(self.loaded, example)
                if self.loaded.crossing:
                    self._fly(slot, feeds, None, (), None)
                slots.put(slot)
            self._bound = ({name: array.shape for name, array in feeds.items()}, slots)
        return answer

    def run(
        self,
        feeds: Mapping[str, Array],
        transfer: StateTransfer | None = None,
        observer: StageObserver | None = None,
        stop: Stop | None = None,
    ) -> dict[str, Array]:
        """Answer one request; the arrays belong to the caller. Raises RunError where the model fails, and RunStopped
        where `stop` ended it.

        With `transfer`, `feeds` lacks the inputs that are carried, and the answer lacks those carried outputs that were
        not asked for. Only when this returns is the transfer's state used up; where it raises, that is as it was.
        `observer` is called after each stage of this run, besides those that hear of every run.
        """
        observers = self._observers if observer is None else (*self._observers, observer)
        if self._single_on_host:
            return self._run_single_on_host(feeds, transfer, observers, stop)
        bound = self._bound
        # An input that is missing makes the shapes differ too: a slot still holds the last request's.
        if bound is None or bound[0] != shapes_of(feeds, transfer):
            return self._fly(LooseValues(self.loaded), feeds, transfer, observers, stop)
        slots = bound[1]
        slot = slots.get()
        try:
            return self._fly(slot, feeds, transfer, observers, stop)
        except (OutOfMemory, OverMemory):
            raise
        except RunError:
            # Shapes inside may follow the values, not only the shapes, of the inputs: then no slot fits.
            answer = self._fly(LooseValues(self.loaded), feeds, transfer, observers, stop)
            self._bound = None
            return answer
        finally:
            slots.put(slot)

    def _run_single_on_host(
        self,
        feeds: Mapping[str, Array],
        transfer: StateTransfer | None,
        observers: Sequence[StageObserver],
        stop: Stop | None,
    ) -> dict[str, Array]:
        """Run the only stage, on the host, here and now. Of models that take microseconds each call shows."""
        stage = self.loaded.stages[0]
        try:
            given: Mapping[str, Tensor] = feeds
            if transfer is not None:
                given = {**feeds, **{name: held.tensor for name, held in transfer.taken.items()}}
            reads = [given[name] for name in stage.inputs]
            with self._lanes.hold(stage.lanes):
                began = time.perf_counter()
                results = stage.kernel.run(stage.ports, reads, stop)
                seconds = time.perf_counter() - began
        except Exception as error:  # noqa: BLE001, engines raise what they will
            raise _failure(error, stage, stop) from None
        for observer in observers:
            observer(stage.label, began, seconds)
        if transfer is not None:
            return transfer.split(dict(zip(stage.outputs, results, strict=True)), stage.device.memory)
        return dict(zip(stage.outputs, map(np.asarray, results), strict=True))

    def _fly(
        self,
        values: Values,
        feeds: Mapping[str, Array],
        transfer: StateTransfer | None,
        observers: Sequence[StageObserver],
        stop: Stop | None,
    ) -> dict[str, Array]:
        try:
            values.load(feeds, transfer)
            if self._single:
                self._run_single(values, observers, stop)
            else:
                _Flight(self.loaded, values, self._lanes, self._lanes.ticket(), observers, stop).run()
            return values.results()
        finally:
            values.unload()

    def _run_single(self, values: Values, observers: Sequence[StageObserver], stop: Stop | None) -> None:
        """Run the only stage here and now: nothing is handed to anyone."""
        stage = self.loaded.stages[0]
        try:
            run_stage(stage, values, self._lanes, observers, stop)
        except Exception as error:  # noqa: BLE001, engines raise what they will
            raise _failure(error, stage, stop) from None


def _failure(error: BaseException, stage: LoadedStage, stop: Stop | None) -> RuntimeFailure:
    """What to raise for a run that failed in a stage: that it was stopped, where it was."""
    if stop is not None and stop.is_set:
        return RunStopped()
    if isinstance(error, RunError):
        error.args = (stage.in_words_of_the_model(str(error)), *error.args[1:])
    if isinstance(error, RuntimeFailure):
        return error
    if isinstance(error, MemoryError):
        return RUN_MEMORY.no_room()
    said = one_line(stage.in_words_of_the_model(str(error)), 300)
    return RunError(f"the model fails on these values: {type(error).__name__}: {said}")


def run_stage(
    stage: LoadedStage, values: Values, lanes: Lanes, observers: Sequence[StageObserver], stop: Stop | None
) -> None:
    """Run one stage once its lanes are free, and tell the observers how long it took. Raises RunStopped."""
    with lanes.hold(stage.lanes):
        if stop is not None:
            stop.check()  # while it waited for the lanes
        began = time.perf_counter()
        values.run(stage, stop)
        seconds = time.perf_counter() - began
    # Other requests have the lane meanwhile.
    values.deliver(stage)
    for observer in observers:
        observer(stage.label, began, seconds)


class _Flight:
    """One request on its way through the stages."""

    def __init__(
        self,
        loaded: LoadedPlan,
        values: Values,
        lanes: Lanes,
        ticket: int,
        observers: Sequence[StageObserver],
        stop: Stop | None,
    ) -> None:
        self._loaded = loaded
        self._values = values
        self._lanes = lanes
        self._ticket = ticket
        self._observers = observers
        self._stop = stop
        self._inbox = Inbox()
        self._guard = threading.Lock()
        self._waits = [stage.waits_for for stage in loaded.stages]
        self._outstanding = 0
        self._failure: tuple[BaseException, LoadedStage] | None = None
        """What the first stage that failed raised, and which that was."""

    def run(self) -> None:
        """Run all stages; raises RunError with the first failure, or RunStopped, once no stage runs any more."""
        first = [stage for stage in self._loaded.stages if stage.waits_for == 0]
        self._outstanding = len(first)
        self._start(first)
        while (work := self._inbox.get()) is not None:
            work()
        if self._failure is not None:
            raise self._take_failure() from None

    def _take_failure(self) -> RuntimeFailure:
        """The failure, which the flight then forgets: its frames hold the flight, and with it the values, in a ring."""
        failure, self._failure = self._failure, None
        assert failure is not None
        return _failure(*failure, self._stop)

    def _start(self, stages: Sequence[LoadedStage]) -> None:
        for stage in stages:
            order = (self._ticket, stage.index)
            work = partial(self._execute, stage)
            if stage.lanes[0] == self._loaded.home and not stage.captured:
                self._inbox.put(order, work)
            else:
                self._lanes.submit(stage.lanes[0], order, work)

    def _execute(self, stage: LoadedStage) -> None:
        try:
            run_stage(stage, self._values, self._lanes, self._observers, self._stop)
        except BaseException as error:  # noqa: BLE001, a lane's worker outlives any failure of a stage
            # Its frames hold this flight, and with it the values, in a ring.
            self._failure = self._failure or (error.with_traceback(None), stage)
        ready: list[LoadedStage] = []
        with self._guard:
            for index in stage.then:
                self._waits[index] -= 1
                if not self._waits[index] and self._failure is None:
                    ready.append(self._loaded.stages[index])
            self._outstanding += len(ready) - 1
            done = not self._outstanding
        self._start(ready)
        if done:
            self._inbox.put((float("inf"),), None)
