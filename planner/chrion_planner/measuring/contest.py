"""Measure contenders against each other: each alone in its own process, taken in turn, round by round.

Idle thread pools of other sessions in one process steal cores and spoil a baseline; and a shared machine drifts, so
that only figures of the same round can be compared.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice

from chrion_api import ChrionError
from chrion_graph.limits import Limits
from chrion_graph.model_worker import ModelWorker
from chrion_planner.measuring.contender import Arrays, Contender, Used, prepare, turn

_LEAST_RUNS = 3
_AHEAD = 2
"""Times as many processes as load at once are started: to import takes most of them longer than to load."""


@dataclass
class Result:
    """What came of one contender."""

    name: str
    rounds: list[list[float]] = field(default_factory=list)
    """Seconds of each run, round by round."""
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


def contest(
    contenders: Sequence[Contender],
    limits: Limits,
    *,
    rounds: int,
    turn_seconds: float,
    deadline: float,
    progress: Callable[[str, float], None],
    loading: int = 1,
) -> list[Result]:
    """Run every contender in turn for `rounds` rounds, or until `deadline` (of `time.monotonic`).

    `loading` of them are loaded at once. A contender that fails is left out of further rounds; its result says why.
    """
    results = [Result(contender.name) for contender in contenders]
    with ExitStack() as stack:
        # Workers are made here and not where they load: each dies with the thread that made it.
        starting = (stack.enter_context(_worker(contender, limits)) for contender in contenders)
        started: list[ModelWorker] = []
        running: list[tuple[ModelWorker, Result]] = []
        for first in range(0, len(contenders), loading):
            started += islice(starting, first + _AHEAD * loading - len(started))
            batch = slice(first, first + loading)
            progress(f"loading {', '.join(result.name for result in results[batch])}", 0.3 * first / len(contenders))
            running += _loaded(started[batch], contenders[batch], results[batch], limits)
        for index in range(rounds):
            for position, (worker, result) in enumerate(running):
                done = (index + position / len(running)) / rounds
                progress(f"measuring {result.name}", 0.3 + 0.7 * done)
                _turn(worker, result, turn_seconds, limits)
            running = [(worker, result) for worker, result in running if not result.error]
            if time.monotonic() > deadline:
                break
    return results


def _worker(contender: Contender, limits: Limits) -> ModelWorker:
    return ModelWorker(None if contender.needs_address_space else limits.memory, ready_for=prepare)


def _loaded(
    workers: Sequence[ModelWorker], contenders: Sequence[Contender], results: Sequence[Result], limits: Limits
) -> list[tuple[ModelWorker, Result]]:
    """Load some contenders at once; those that can be run."""
    with ThreadPoolExecutor(len(workers)) as pool:
        fine = list(pool.map(_prepare, workers, contenders, results, [limits] * len(workers)))
    return [one for one, ran in zip(zip(workers, results, strict=True), fine, strict=True) if ran]


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
