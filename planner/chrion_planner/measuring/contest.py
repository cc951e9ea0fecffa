"""Measure contenders against each other: each alone in its own process, taken in turn, round by round.

Idle thread pools of other sessions in one process steal cores and spoil a baseline; and a shared machine drifts, so
that only figures of the same round can be compared.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from chrion_api import ChrionError, GpuBytes
from chrion_graph.limits import Limits
from chrion_graph.worker import Worker
from chrion_planner.measuring.contender import Arrays, Contender, prepare, turn

_LEAST_RUNS = 3
_SETTLE_SECONDS = 0.01
"""Idle threads of the contender before spin for a while; none of that may fall into the next one's turn."""


@dataclass
class Result:
    """What came of one contender."""

    name: str
    rounds: list[list[float]] = field(default_factory=list)
    """Seconds of each run, round by round."""
    outputs: Arrays = field(default_factory=dict)
    """What it answered."""
    gpu_bytes: GpuBytes | None = None
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
) -> list[Result]:
    """Run every contender in turn for `rounds` rounds, or until `deadline` (of `time.monotonic`).

    A contender that fails is left out of further rounds; its result says why.
    """
    results = [Result(contender.name) for contender in contenders]
    with ExitStack() as stack:
        workers: list[Worker | None] = []
        for position, (contender, result) in enumerate(zip(contenders, results, strict=True)):
            progress(f"loading {contender.name}", 0.3 * position / len(contenders))
            worker = stack.enter_context(Worker(None if contender.needs_address_space else limits.memory))
            workers.append(_prepared(worker, contender, result, limits))
        for index in range(rounds):
            for position, (maybe, result) in enumerate(zip(workers, results, strict=True)):
                if maybe is None:
                    continue
                done = (index + position / len(workers)) / rounds
                progress(f"measuring {result.name}", 0.3 + 0.7 * done)
                time.sleep(_SETTLE_SECONDS)
                try:
                    result.rounds.append(
                        maybe.call(turn, turn_seconds, _LEAST_RUNS, seconds=limits.seconds, what=result.name)
                    )
                except ChrionError as error:
                    result.error = str(error)
                    workers[position] = None
            if time.monotonic() > deadline:
                break
    return results


def _prepared(worker: Worker, contender: Contender, result: Result, limits: Limits) -> Worker | None:
    try:
        result.outputs, result.gpu_bytes = worker.call(
            prepare, contender, seconds=limits.seconds, what=f"loading {contender.name}"
        )
    except ChrionError as error:
        result.error = str(error)
        return None
    return worker
