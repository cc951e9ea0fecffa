"""Measure contenders against each other: each alone in its own process, taken in turn, round by round.

Idle thread pools of other sessions in one process steal cores and spoil a baseline; and a shared machine drifts, so
that only figures of the same round can be compared.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from chrion_api import ChrionError
from chrion_graph.limits import Limits
from chrion_graph.model_worker import ModelWorker
from chrion_graph.worker import ForkServer
from chrion_planner.measuring.contender import Arrays, Contender, TurnTimes, Used, prepare, turn
from chrion_planner.progress import Progress
from chrion_planner.reference import ReferenceRuns

_LEAST_RUNS = 3
FIRST_ROUNDS = 2
"""Rounds after which contenders are first eliminated, and latecomers join."""


@dataclass
class Result:
    """What came of one contender."""

    name: str
    rounds: list[list[float]] = field(default_factory=list)
    """Seconds of each run, round by round; none in rounds before it came in."""
    stages: list[list[float]] = field(default_factory=list)
    """Median seconds of each stage, round by round; empty ones where there are no stages."""
    sessions: tuple[int, ...] = ()
    """For each stage the first one that runs in the same session; empty where there are no stages."""
    outputs: Arrays = field(default_factory=dict)
    """What it answered."""
    used: Used | None = None
    """GPU memory it takes; None where that cannot be told."""
    error: str = ""
    """Why it could not be measured; empty where it could."""
    eliminated: bool = False
    """Whether it was ruled out before the last round, perhaps before it was loaded."""

    def add(self, took: TurnTimes, speed: float) -> None:
        """Take in one more round, of a processor that was so many times as fast as it is to count."""
        self.rounds.append([seconds * speed for seconds in took.runs])
        self.stages.append([seconds * speed for seconds in took.stages])


class Referee(Protocol):
    """Says how far a contest goes, from the results so far, once FIRST_ROUNDS are over."""

    def eliminates(self, index: int, results: Sequence[Result]) -> bool:
        """Whether the n-th contender is out."""

    def decided(self, results: Sequence[Result]) -> bool:
        """Whether no more rounds are needed."""


def contest(
    contenders: Sequence[Contender],
    limits: Limits,
    *,
    rounds: int,
    turn_seconds: float,
    deadline: float,
    progress: Progress,
    loading: int = 1,
    server: ForkServer | None = None,
    latecomers: int = 0,
    referee: Referee | None = None,
    reference: ReferenceRuns | None = None,
    idle_seconds: float = 0.0,
) -> list[Result]:
    """Run every contender in turn for `rounds` rounds, or until `deadline` (of `time.monotonic`).

    `loading` of them are loaded at once, in forks of `server`. The last `latecomers` join only after FIRST_ROUNDS,
    unless the referee eliminates them before. A contender that fails or is eliminated takes no further turns; its
    result says so. By `reference`, where given, a round that something disturbs is run again, and figures are brought
    to one speed. Each timed run comes after `idle_seconds` in which the process does nothing.
    """
    results = [Result(contender.name) for contender in contenders]
    with ExitStack() as stack:
        forks = server or stack.enter_context(closing(ForkServer(prepare)))
        entered = _Field(contenders, results, limits, stack, forks, idle_seconds)

        def load(wanted: Sequence[int], done: float) -> None:
            for first in range(0, len(wanted), loading):
                batch = wanted[first : first + loading]
                progress(f"loading {', '.join(results[index].name for index in batch)}", done)
                entered.load(batch)

        def turns(number: int) -> list[tuple[Result, TurnTimes]]:
            return list(entered.turns(turn_seconds, lambda what, done: progress(what, (number + done) / rounds)))

        at_first = len(contenders) - latecomers
        load(range(at_first), 0.0)
        for number in range(rounds):
            if referee is not None and number >= FIRST_ROUNDS:
                for index, result in enumerate(results):
                    result.eliminated = result.eliminated or referee.eliminates(index, results)
                if referee.decided(results):
                    break
            if number == FIRST_ROUNDS:
                for result in results[at_first:]:
                    result.rounds += [[] for _ in range(FIRST_ROUNDS)]
                    result.stages += [[] for _ in range(FIRST_ROUNDS)]
                load(
                    [index for index in range(at_first, len(results)) if not results[index].eliminated],
                    FIRST_ROUNDS / rounds,
                )
            for result, took in reference.undisturbed(partial(turns, number)) if reference else turns(number):
                result.add(took, reference.speed if reference else 1.0)
            if time.monotonic() > deadline:
                break
    return results


class _Field:
    """The contenders that are still in, each loaded in a process of its own."""

    def __init__(
        self,
        contenders: Sequence[Contender],
        results: Sequence[Result],
        limits: Limits,
        stack: ExitStack,
        forks: ForkServer,
        idle_seconds: float,
    ) -> None:
        """The processes end with `stack`."""
        self._contenders, self._results = contenders, results
        self._limits, self._stack, self._forks = limits, stack, forks
        self._idle = idle_seconds
        self._running: list[tuple[ModelWorker, Result]] = []

    def load(self, wanted: Sequence[int]) -> None:
        """Load some contenders at once; those that can be run are in."""
        workers = [self._stack.enter_context(self._worker(self._contenders[index])) for index in wanted]
        with ThreadPoolExecutor(max(1, len(wanted))) as pool:
            list(pool.map(self._prepare, workers, wanted))
        self._running += [(worker, self._results[index]) for worker, index in zip(workers, wanted, strict=True)]

    def turns(self, seconds: float, progress: Progress) -> Iterator[tuple[Result, TurnTimes]]:
        """One round: a turn of each contender that is in."""
        self._running = [(worker, one) for worker, one in self._running if not (one.error or one.eliminated)]
        for position, (worker, result) in enumerate(self._running):
            progress(f"measuring {result.name}", position / len(self._running))
            try:
                took = worker.call(
                    turn, seconds, _LEAST_RUNS, self._idle, seconds=self._limits.seconds, what=result.name
                )
            except ChrionError as error:
                result.error = str(error)
            else:
                yield result, took

    def _worker(self, contender: Contender) -> ModelWorker:
        return ModelWorker(None if contender.needs_address_space else self._limits.memory, server=self._forks)

    def _prepare(self, worker: ModelWorker, index: int) -> None:
        contender, result = self._contenders[index], self._results[index]
        try:
            loaded = worker.call(prepare, contender, seconds=self._limits.seconds, what=f"loading {contender.name}")
        except ChrionError as error:
            result.error = str(error)
        else:
            result.outputs, result.used, result.sessions = loaded.outputs, loaded.used, loaded.sessions
