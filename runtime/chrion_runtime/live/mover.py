"""Bring a model from the plans in use to those of another rung, while it serves and within its GPU memory."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from chrion_api import Frontier
from chrion_runtime.choice.ladder import Rung
from chrion_runtime.choice.selection import Selection, latency
from chrion_runtime.errors import PlanRefused
from chrion_runtime.live.plans_in_use import PlansInUse
from chrion_runtime.live.prepare import prepare
from chrion_runtime.live.route import route
from chrion_runtime.live.workshop import Workshop


@dataclass(frozen=True)
class Destination:
    """A rung of a ladder, and why each of its plans was chosen."""

    frontiers: tuple[Frontier, ...]
    rungs: tuple[Rung, ...]
    rung: Rung
    chosen: tuple[Selection, ...]


class Mover:
    """Moves one model; used by one thread."""

    def __init__(self, in_use: PlansInUse, freeing: float, stop: threading.Event) -> None:
        """`freeing` bounds, in seconds, how long requests on an earlier plan are waited for."""
        self._in_use = in_use
        self._freeing = freeing
        self._stop = stop

    def go(
        self, to: Destination, budget: int | None, workshop: Workshop, on_exchange: Callable[[Rung, Rung], None]
    ) -> None:
        """Serve by the destination's plans; `on_exchange` is told of each exchange, from which rung to which.

        `budget` bounds the GPU memory of old and new plans together, in bytes. Raises ChrionError where the move
        cannot be made; what serves then is the old plans, or those on the way.
        """
        self._free(budget)
        for rung in route(self._in_use.held, to.rungs, to.rung, budget):
            chosen = to.chosen if rung is to.rung else self._passing(rung, to)
            self._free(budget)
            self._in_use.check_room(rung.plans)
            buckets = prepare(self._in_use.loader, self._in_use.buckets, to.frontiers, chosen, workshop)
            if self._stop.is_set():
                raise PlanRefused("the server is shutting down")
            before = self._in_use.rung
            self._in_use.exchange(to.frontiers, to.rungs, rung, buckets)
            on_exchange(before, rung)

    def _passing(self, rung: Rung, to: Destination) -> tuple[Selection, ...]:
        objective = self._in_use.objective
        target = objective.latency.seconds if objective.latency is not None else None
        why = f"makes room on the GPU for {to.rung.name}"
        return tuple(Selection(plan, why, target is None or latency(plan, objective) <= target) for plan in rung.plans)

    def _free(self, budget: int | None) -> None:
        """Wait for the memory of earlier plans where it counts."""
        if budget is not None and not self._in_use.settled(self._freeing, self._stop):
            raise PlanRefused(
                f"requests are still running on an earlier plan after {self._freeing:g} s, and its GPU memory is needed"
            )
