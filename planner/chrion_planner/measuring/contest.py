"""Measure contenders against each other: each alone in its own process, taken in turn, round by round.

Idle thread pools of other sessions in one process steal cores and spoil a baseline; and a shared machine drifts, so
that only figures of the same round can be compared.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

from chrion_api import ChrionError
from chrion_graph.limits import Limits
from chrion_graph.model_worker import ModelWorker
from chrion_graph.worker import ForkServer
from chrion_planner.measuring.contender import Arrays, Contender, Used, prepare, turn

_LEAST_RUNS = 3
LOOK = 2
"""Rounds after which the first look tells who is hopeless, and those come in who were left for later."""

Hopeless = Callable[[int, Sequence["Result"]], bool]
"""Whether the n-th contender is not worth being measured, by what came of all of them so far."""


def nobody(_index: int, _results: Sequence["Result"]) -> bool:
    """Where all are measured to the end."""
    return False


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
    hopeless: bool = False
    """Whether it was left out, or left, for being so."""


def contest(
    contenders: Sequence[Contender],
    limits: Limits,
    *,
    rounds: int,
    turn_seconds: float,
    deadline: float,
    progress: Callable[[str, float], None],
    loading: int = 1,
    server: ForkServer | None = None,
    later: int = 0,
    hopeless: Hopeless = nobody,
) -> list[Result]:
    """Run every contender in turn for `rounds` rounds, or until `deadline` (of `time.monotonic`).

    `loading` of them are loaded at once, in forks of `server`; the last `later` of them only after the first look, if
    they are not hopeless by then. Whoever is hopeless after a look, or fails, is in no further rounds; results say so.
    """
    results = [Result(contender.name) for contender in contenders]
    with ExitStack() as stack:
        forks = server or stack.enter_context(ForkServer(prepare))
        running: list[tuple[ModelWorker, Result]] = []

        def load(wanted: Sequence[int], done: float) -> None:
            for first in range(0, len(wanted), loading):
                batch = wanted[first : first + loading]
                progress(f"loading {', '.join(results[index].name for index in batch)}", done)
                workers = [stack.enter_context(_worker(contenders[index], limits, forks)) for index in batch]
                running.extend(_loaded(workers, [(contenders[index], results[index]) for index in batch], limits))

        at_first = len(contenders) - later
        load(range(at_first), 0.0)
        for number in range(rounds):
            if number >= LOOK:
                for index, result in enumerate(results):
                    result.hopeless = result.hopeless or hopeless(index, results)
            if number == LOOK:
                for result in results[at_first:]:
                    result.rounds += [[] for _ in range(LOOK)]
                    result.stages += [[] for _ in range(LOOK)]
                load([index for index in range(at_first, len(results)) if not results[index].hopeless], LOOK / rounds)
            running = [(worker, result) for worker, result in running if not (result.error or result.hopeless)]
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
