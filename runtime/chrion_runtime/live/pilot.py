"""The thread beside a served model: watches its files, its latency and its stages, and moves it along the ladder."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chrion_api import ChrionError, Objective, Reason
from chrion_runtime.choice.documents import check_plain, read_objective
from chrion_runtime.choice.ladder import Rung, ladder, rung_for, selections
from chrion_runtime.choice.selection import Selection, latency
from chrion_runtime.devices.run_memory import RUN_MEMORY
from chrion_runtime.live import controller
from chrion_runtime.live.controller import ControllerState, Move, Tuning
from chrion_runtime.live.drift import DriftTuning
from chrion_runtime.live.journal import Journal
from chrion_runtime.live.mover import Destination, Mover
from chrion_runtime.live.observations import Observations
from chrion_runtime.live.plans_in_use import PlansInUse
from chrion_runtime.live.watch import Watch
from chrion_runtime.live.window import Seen
from chrion_runtime.live.workshop import Workshop
from chrion_runtime.servable import Figure

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Live:
    """What is watched, and how; times in seconds. Make it before the files are read first."""

    plan: Watch | None = None
    objective: Watch | None = None
    tuning: Tuning = field(default_factory=Tuning)
    drift: DriftTuning = field(default_factory=DriftTuning)
    poll: float = 0.5
    window: float = 60.0
    settle: float = 2.0
    """What is answered this soon after an exchange may have run on the earlier plan and is not counted."""
    freeing: float = 30.0
    """How long requests on an earlier plan are waited for when its GPU memory is needed."""

    @classmethod
    def of(cls, plan: Path | None = None, objective: Path | None = None) -> "Live":
        """Watch these files."""
        return cls(Watch(plan) if plan else None, Watch(objective) if objective else None)


class Pilot:
    """Keeps one model at its objective, on a thread of its own until it is closed."""

    def __init__(self, name: str, in_use: PlansInUse, live: Live, off_profile: Callable[[], int]) -> None:
        """`off_profile` counts the requests of other shapes than those that are planned for."""
        self.journal = Journal(name)
        self.observations = Observations(in_use, live.window, live.settle, live.drift, off_profile)
        self._name = name
        self._in_use = in_use
        self._live = live
        self._stop = threading.Event()
        self._mover = Mover(in_use, live.freeing, self._stop)
        self._state: ControllerState | None = None
        """None while the plans in use are on no rung of the ladder."""
        self._workshop: Workshop | None = None
        self._arrive()
        self._thread = threading.Thread(target=self._watch, name=f"chrion-live-{name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; a move under way is given up."""
        self._stop.set()
        if self._workshop is not None:
            self._workshop.interrupt()
        self._thread.join(30)

    def _watch(self) -> None:
        while not self._stop.wait(self._live.poll):
            try:
                RUN_MEMORY.tend()
                self._tick()
            except Exception:
                log.exception("%s: watching the model failed; it keeps serving", self._name)

    def _tick(self) -> None:
        for watch, take in ((self._live.plan, self._new_plans), (self._live.objective, self._new_objective)):
            if watch is None:
                continue
            if watch.changed():
                take(watch.path)
            elif watch.vanished():
                log.warning("%s: %s is gone; its last content stays in force", self._name, watch.path)
        before = self.observations.stale
        self.observations.take_in(time.monotonic())
        if (stale := self.observations.stale) != before:
            log.warning(
                "%s: %s", self._name, f"{Reason.PLAN_STALE}: {stale}" if stale else "the plan is no longer stale"
            )
        self._steer()

    def _new_plans(self, path: Path) -> None:
        """Serve by another plan file; all of it is refused where the plan it asks for cannot be used."""
        in_use, objective = self._in_use, self._in_use.objective
        here = in_use.rung
        try:
            check_plain(path)
            with self._opened() as workshop:
                plan_file = workshop.read(path)
                in_use.loader.admit(plan_file)
                if plan_file.buckets == in_use.frontiers:
                    return
                rungs = ladder(plan_file.buckets, objective)
                rung = rungs[rung_for(rungs, objective)]
                chosen = selections(plan_file.buckets, rung, objective)
                to = Destination(plan_file.buckets, rungs, rung, chosen)
                self._go(to, _bytes(objective), "plans", f"{path.name} has new plans", workshop)
        except ChrionError as error:
            self._refuse("plans", str(error) if str(path) in str(error) else f"{path}: {error}")
        if in_use.rung is not here:
            self._arrive()

    def _new_objective(self, path: Path) -> None:
        """Pursue another objective, from now on; as near to it as plans can be loaded."""
        in_use, before = self._in_use, self._in_use.objective
        try:
            check_plain(path)
            objective = read_objective(path)
            rungs = ladder(in_use.frontiers, objective)
        except ChrionError as error:
            self._refuse("objective", str(error))
            return
        if objective == before:
            return
        ratio = self._state.ratio if self._state else 1.0
        in_use.objective, in_use.rungs = objective, rungs
        self.observations.restart(time.monotonic())
        # A budget that shrinks holds once the move that it asks for is made.
        budgets = [_bytes(before), _bytes(objective)]
        budget = None if None in budgets else max(filter(None, budgets), default=0)
        failed: set[int] = set()
        with self._opened() as workshop:
            while len(failed) < len(rungs):
                index = rung_for(rungs, objective, failed, ratio)
                chosen = selections(in_use.frontiers, rungs[index], objective)
                try:
                    to = Destination(in_use.frontiers, rungs, rungs[index], chosen)
                    self._go(to, budget, "objective", f"the objective is now {_written(objective)}", workshop)
                    break
                except ChrionError as error:
                    self._refuse("move", f"to {rungs[index].name}: {error}")
                    failed.add(index)
        self._arrive(ratio)
        for index in failed:
            self._bar(index)

    def _steer(self) -> None:
        """Let the controller decide, and do what it says."""
        if self._state is None:
            return
        in_use, now = self._in_use, time.monotonic()
        here, seen = in_use.rung, self.observations.seen
        self._state, move = controller.decide(in_use.rungs, in_use.objective, self._state, seen, now, self._live.tuning)
        if move is None:
            return
        try:
            with self._opened() as workshop:
                rung = in_use.rungs[move.to]
                to = Destination(in_use.frontiers, in_use.rungs, rung, self._because(rung, move))
                self._go(to, _bytes(in_use.objective), move.reason, move.why, workshop)
        except ChrionError as error:
            self._refuse("move", f"to {in_use.rungs[move.to].name}: {error}")
            if in_use.rung is not here:
                self._arrive()
            self._bar(move.to)
        else:
            self._state = controller.moved(self._state, move, time.monotonic())

    def _go(self, to: Destination, budget: int | None, reason: str, why: str, workshop: Workshop) -> None:
        """Move, and enter into the journal what was exchanged. Raises ChrionError."""
        seen = self.observations.seen

        def exchanged(before: Rung, rung: Rung) -> None:
            self.observations.restart(time.monotonic())
            if rung is to.rung:
                self.journal.moved(before.name, rung.name, reason, why, _figures(seen))
            else:
                room = f"{to.rung.name} and {before.name} together do not fit into the GPU memory"
                self.journal.moved(before.name, rung.name, "drain", room, _figures(seen))

        self._mover.go(to, budget, workshop, exchanged)

    def _because(self, rung: Rung, move: Move) -> tuple[Selection, ...]:
        objective = self._in_use.objective
        target = objective.latency.seconds if objective.latency is not None else None
        return tuple(
            Selection(plan, move.why, target is None or latency(plan, objective) <= target) for plan in rung.plans
        )

    @contextmanager
    def _opened(self) -> Iterator[Workshop]:
        with Workshop() as workshop:
            self._workshop = workshop
            try:
                yield workshop
            finally:
                self._workshop = None

    def _arrive(self, ratio: float = 1.0) -> None:
        """Start over on the ladder as it is now."""
        rungs = self._in_use.rungs
        at = next((index for index, rung in enumerate(rungs) if rung.plans == self._in_use.rung.plans), None)
        self._state = None if at is None else ControllerState.start(len(rungs), at, time.monotonic(), ratio)

    def _bar(self, index: int) -> None:
        if self._state is not None:
            self._state = controller.barred(self._state, index, time.monotonic(), self._live.tuning)

    def _refuse(self, cause: str, why: str) -> None:
        if not self._stop.is_set():
            self.journal.refused(cause, why)

    def describe(self) -> dict[str, Any]:
        """What is seen, and what was moved and refused, as JSON data."""
        objective, seen = self._in_use.objective, self.observations.seen
        return {
            "observed": {
                "percentile": objective.percentile,
                "windowSeconds": round(seen.span, 3),
                **_figures(seen),
                "requestsPerSecond": round(seen.samples / seen.span, 3) if seen.span else None,
                "sloMet": is_met(objective, seen),
            },
            "stale": {"reason": Reason.PLAN_STALE.value, "message": stale}
            if (stale := self.observations.stale)
            else None,
            **self.journal.to_data(),
        }

    def figures(self) -> list[Figure]:
        """Numbers for the metrics."""
        objective, seen = self._in_use.objective, self.observations.seen
        met = is_met(objective, seen)
        found = [
            *self.journal.figures(),
            Figure(
                "chrion_plan_stale",
                "gauge",
                "1 while the plan is stale",
                {},
                float(bool(self.observations.stale)),
            ),
        ]
        if met is not None:
            found.append(Figure("chrion_slo_met", "gauge", "Whether the objective is met", {}, float(met)))
        return found


def is_met(objective: Objective, seen: Seen) -> bool | None:
    """Whether the objective is met over the window; None where it names no latency or nothing was seen."""
    if objective.latency is None or not seen.samples:
        return None
    return seen.over <= (1 - objective.percentile / 100) * seen.samples


def _bytes(objective: Objective) -> int | None:
    return objective.gpu_memory.bytes if objective.gpu_memory is not None else None


def _figures(seen: Seen) -> dict[str, Any]:
    return {"seconds": seen.seconds, "samples": seen.samples, "over": seen.over}


def _written(objective: Objective) -> str:
    data = objective.to_data()
    load = data.pop("load", None)
    return ", ".join([*(f"{name} {value}" for name, value in data.items()), *([f"load {load}"] if load else [])])
