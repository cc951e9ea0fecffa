"""Measure contenders against each other: each alone in its own process, taken in turn, round by round.

Idle thread pools of other sessions in one process steal cores and spoil a baseline; and a shared machine drifts, so
that only figures of the same round can be compared.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from chrion_api import ChrionError
from chrion_graph.limits import Limits
from chrion_graph.model_worker import ModelWorker
from chrion_graph.worker import ForkServer
from chrion_planner.measuring.contender import Arrays, Contender, Used, prepare, turn
from chrion_planner.progress import Progress

_LEAST_RUNS = 3
FIRST_ROUNDS = 2
"""Rounds after which contenders are first eliminated, and latecomers join."""

Eliminates = Callable[[int, Sequence["Result"]], bool]
"""Whether the results so far rule the n-th contender out."""


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
    eliminates: Eliminates | None = None,
) -> list[Result]:
    """Run every contender in turn for `rounds` rounds, or until `deadline` (of `time.monotonic`).

    `loading` of them are loaded at once, in forks of `server`. The last `latecomers` join only after FIRST_ROUNDS,
    unless they are eliminated by then. A contender that fails or is eliminated takes no further turns; its result says
    so.
    """
    results = [Result(contender.name) for contender in contenders]
    with ExitStack() as stack:
        forks = server or stack.enter_context(closing(ForkServer(prepare)))
        running: list[tuple[ModelWorker, Result]] = []

        def load(wanted: Sequence[int], done: float) -> None:
            for first in range(0, len(wanted), loading):
                batch = wanted[first : first + loading]
                progress(f"loading {', '.join(results[index].name for index in batch)}", done)
                workers = [stack.enter_context(_worker(contenders[index], limits, forks)) for index in batch]
                running.extend(_loaded(workers, [(contenders[index], results[index]) for index in batch], limits))

        at_first = len(contenders) - latecomers
        load(range(at_first), 0.0)
        for number in range(rounds):
            if eliminates is not None and number >= FIRST_ROUNDS:
                for index, result in enumerate(results):
                    result.eliminated = result.eliminated or eliminates(index, results)
            if number == FIRST_ROUNDS:
                for result in results[at_first:]:
                    result.rounds += [[] for _ in range(FIRST_ROUNDS)]
                    result.stages += [[] for _ in range(FIRST_ROUNDS)]
                load(
                    [index for index in range(at_first, len(results)) if not results[index].eliminated],
                    FIRST_ROUNDS / rounds,
                )
            running = [(worker, result) for worker, result in running if not (result.error or result.eliminated)]
            for position, (worker, result) in enumerate(running):
                progress(f"measuring {result.name}", (number + position / len(running)) / rounds)
                _turn(worker, result, turn_seconds, limits)
            if time.monotonic() > deadline:
                break
    return results


def _worker(contender: Contender, limits: Limits, server: ForkServer) -> ModelWorker:
    return ModelWorker(None if contender.needs_address_space else limits.memory, server=server)


def _loaded(
    workers: Sequence[ModelWorker], pairs: Sequence[tuple[Contender, Result]], limits: Limits
) -> list[tuple[ModelWorker, Result]]:
    """Load some contenders at once; those that can be run."""

    def load(worker: ModelWorker, pair: tuple[Contender, Result]) -> bool:
        return _prepare(worker, *pair, limits)

    with ThreadPoolExecutor(len(workers)) as pool:
        fine = list(pool.map(load, workers, pairs))
    return [(worker, result) for worker, (_, result), ran in zip(workers, pairs, fine, strict=True) if ran]


def _turn(worker: ModelWorker, result: Result, seconds: float, limits: Limits) -> None:
    try:
        took = worker.call(turn, seconds, _LEAST_RUNS, seconds=limits.seconds, what=result.name)
    except ChrionError as error:
        result.error = str(error)
    else:
        result.rounds.append(took.runs)
        result.stages.append(took.stages)


def _prepare(worker: ModelWorker, contender: Contender, result: Result, limits: Limits) -> bool:
    """Load the contender; whether it can be run."""
    try:
        loaded = worker.call(prepare, contender, seconds=limits.seconds, what=f"loading {contender.name}")
    except ChrionError as error:
        result.error = str(error)
    else:
        result.outputs, result.used, result.sessions = loaded.outputs, loaded.used, loaded.sessions
    return not result.error
