"""Who may run on a model, and who is refused: the counters and estimates of one model's requests, in one place.

Called on the event loop. A request waits for one of these reasons, each at one place:

| for | at |
|---|---|
| its body to come, within the bytes that all bodies may hold | its transport, `BodyBudget` |
| a process that reads large JSON, or writes it | `CodecQueue` |
| the request of its sequence that came before | `SequenceTurns` |
| a thread of its model, alone or with those it shares a run with | `RunQueue`, `Batcher` |
| the lanes that other models' runs hold | `LaneLocks` |
"""

from dataclasses import dataclass
from time import perf_counter

from chrion_runtime.devices.cpu import usable_cores
from chrion_runtime.servable import Servable
from chrion_runtime.serve.admission.departure_rate import DepartureRate
from chrion_runtime.serve.admission.margin import AdmissionMargin
from chrion_runtime.serve.admission.run_times import RunTimes, ShortRuns
from chrion_runtime.serve.admission.thread_clock import ThreadClock
from chrion_runtime.serve.admission.workload import Kind
from chrion_runtime.serve.protocol.errors import QueueFull, TooLate

HERE_SECONDS = 200e-6
"""Runs expected to be shorter take place on the event loop: handing over and back costs about as much."""
HERE_SECONDS_ONE_CORE = 1e-3
"""The same where there is but one core, so that a thread could do nothing beside the loop."""


@dataclass
class LongRuns:
    """Requests of all models that are on threads and not known to be short: they may have the lanes."""

    count: int = 0


@dataclass(frozen=True)
class Admitted:
    """A request that was let in: it is ahead of others until it has ended."""

    size: int
    """Its bytes."""
    kind: Kind | None
    arrived: float
    allowed: float | None
    """Seconds from its arrival within which it shall be answered; None without a limit, or where none was ahead."""
    long: bool
    """Whether it counts among the long runs."""


class Admission:
    """One model's."""

    def __init__(self, servable: Servable, limit: int, long_runs: LongRuns) -> None:
        """`limit` requests may wait while others run; `long_runs` are those of all models of the process."""
        self._model = servable.name
        self._workers = max(1, servable.concurrency)
        self._limit = limit
        self._here_seconds = HERE_SECONDS if usable_cores() > 1 else HERE_SECONDS_ONE_CORE
        self._here_seconds += servable.hop_seconds
        self._long_runs = long_runs
        self._times = RunTimes()
        self._short = ShortRuns(self._here_seconds)
        self._departures = DepartureRate()
        self._margin = AdmissionMargin()

    @property
    def waiting(self) -> int:
        """Requests that wait for a run of the model to end."""
        return max(0, self._departures.ahead - self._workers)

    @property
    def lanes_are_free(self) -> bool:
        """Whether no model has a run under way that may hold lanes for long."""
        return not self._long_runs.count

    def check(self, size: int, arrived: float, allowed: float | None, objective: float | None) -> None:
        """Refuse what waits too long, by what is ahead of it; where nothing is, it runs, and shows what it takes.

        `arrived` is as `time.perf_counter` counts, `allowed` the seconds from then within which a request of `size`
        bytes shall be answered, `objective` those of the model. Raises QueueFull, TooLate.
        """
        ahead = self._departures.ahead
        if ahead >= self._workers + self._limit:
            raise QueueFull(f'model "{self._model}" already has {self._limit} requests waiting: try again later')
        if not ahead:
            self._margin.idle()
            return
        if allowed is None:
            return
        own = self._times.expected(size)
        expected = self._departures.wait + (self._departures.seconds if own is None else own)
        left = allowed - (perf_counter() - arrived)
        if expected > left * self._margin.part:
            raise TooLate(self._model, expected, left, hurried=allowed != objective)

    def runs_here(self, kind: Kind, now: float) -> bool:
        """Whether a request of this kind may run on the event loop; it would wait there for lanes that are held."""
        return self.lanes_are_free and self._short.fit_here(kind, now)

    def ran_here(self, size: int, kind: Kind, seconds: float, clock: ThreadClock, now: float) -> None:
        """A request of `size` bytes ran there for so many seconds, by a clock that was started before it."""
        # Where the system gave the core to someone else meanwhile, that says nothing of the model.
        own = clock.own(seconds) if seconds > self._here_seconds else seconds
        self._times.ran(size, own)
        self._short.ran_here(kind, own, now)

    def admit(
        self, size: int, kind: Kind | None, arrived: float, allowed: float | None, objective: float | None
    ) -> Admitted:
        """Let a request in that will run on a thread, unless `check` refuses it; `end` must follow."""
        behind = self._departures.ahead > 0
        self.check(size, arrived, allowed, objective)
        self._departures.begin(perf_counter())
        long = not self._short.short(kind)
        self._long_runs.count += long
        return Admitted(size, kind, arrived, allowed if behind else None, long)

    def end(self, admitted: Admitted, ran: bool) -> None:
        """No thread is at a request any more, or never will be.

        That is not when its client was answered: a run that is told to end still has its lanes.
        """
        self._long_runs.count -= admitted.long
        self._departures.end(perf_counter(), counted=ran)

    def answered(self, admitted: Admitted, seconds: float) -> None:
        """A request has run for so many seconds."""
        self._times.ran(admitted.size, seconds)
        self._short.ran(admitted.kind, seconds)
        if admitted.allowed is not None:
            self._margin.ended(late=perf_counter() - admitted.arrived > admitted.allowed)
