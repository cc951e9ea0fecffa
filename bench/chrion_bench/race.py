"""Contenders raced over several processes each, and what their figures say."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chrion_graph.equality import difference
from chrion_graph.limits import Limits
from chrion_planner.measuring import Contender, Result, contest, latency
from chrion_planner.measuring.statistics import ratio
from chrion_planner.progress import silent


@dataclass(frozen=True)
class Effort:
    """How long a model is measured."""

    rounds: int = 16
    """Turns that each contender takes in all its processes together."""
    turn_seconds: float = 0.06
    race_seconds: float = 30.0
    """After so long no further round starts: slow models have fewer of them. One round a process is always run."""
    plan_seconds: float = 180.0
    """What profiling and measuring candidates may take."""
    processes: int = 2
    """Each contender runs in this many processes, one after the other: where its memory lies decides some of its
    speed."""
    loading: int = 1
    """Contenders that are loaded at once."""
    idle_seconds: float = 0.0
    """How long each process does nothing before each timed run."""

    def after_idle(self, seconds: float) -> "Effort":
        """The same with idle gaps, and turns so much longer that a few gaps are in each."""
        return replace(self, idle_seconds=seconds, turn_seconds=self.turn_seconds + _GAPS * seconds)


_GAPS = 12


def race(contenders: Sequence[Contender], effort: Effort, inexact: Collection[str] = ()) -> list[Result]:
    """What came of every contender, the rounds of all its processes one after the other.

    One whose answer differs from the first one's has an error that says so, but for those that are `inexact`.
    """
    found = [Result(contender.name) for contender in contenders]
    for process in range(effort.processes):
        rounds = effort.rounds // effort.processes + (process < effort.rounds % effort.processes)
        results = contest(
            contenders,
            Limits(),
            rounds=rounds,
            turn_seconds=effort.turn_seconds,
            deadline=time.monotonic() + effort.race_seconds / effort.processes,
            progress=silent,
            loading=effort.loading,
            idle_seconds=effort.idle_seconds,
        )
        for sofar, result in zip(found, results, strict=True):
            differs = "" if sofar.name in inexact else difference(result.outputs, results[0].outputs)
            sofar.error = sofar.error or result.error or differs
            sofar.outputs = result.outputs
            sofar.rounds += result.rounds
            sofar.used = sofar.used or result.used
    return found


def figures(results: Sequence[Result]) -> dict[str, dict[str, Any]]:
    """Latency by name, with the gain over the first where that one ran; or why there is none."""
    base = results[0]
    return {result.name: _figures(result, base) for result in results}


def _figures(result: Result, base: Result) -> dict[str, Any]:
    if result.error or not result.rounds:
        return {"absent": result.error or "time ran out"}
    found = latency(result.rounds).to_data()
    if base.error or not base.rounds:
        return found
    return {**found, "gain": 1 / ratio(result.rounds, base.rounds)}
