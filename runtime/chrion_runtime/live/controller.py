"""Decide when to move along the ladder. Pure: what is seen goes in, a move or none comes out.

In Memory mode with a latency, the model moves to a faster rung when the target is about to be missed, and to a smaller
one when there has been room for it for long enough. In all other cases one rung is right whatever is seen, and the
model stays there. What keeps it from oscillating:

- The two thresholds are apart: a smaller rung must be expected at 75 % of the target, a faster one is taken above 90 %.
- What is expected of a rung is its measured latency times what the rung in use is seen to take over its own.
- A smaller rung is taken only after a minute of room; each time it had to be left again at once, that time doubles.
- Moves are at least ten seconds apart, and nothing is decided on few samples.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from chrion_api import Mode, Objective
from chrion_runtime.choice.ladder import Rung, rung_for
from chrion_runtime.live.window import Seen


@dataclass(frozen=True)
class Tuning:
    """How the controller behaves; times in seconds."""

    about_to_miss: float = 0.9
    """The part of the target above which a faster rung is taken."""
    room: float = 0.75
    """The part of the target that a rung must be expected within to be taken."""
    patience: float = 60.0
    """How long there must be room before a smaller rung is taken."""
    rest: float = 10.0
    """The least time between two moves."""
    few: int = 30
    """Samples below which nothing is taken for room."""
    enough: int = 300
    """Samples with which any percentile is believed; fewer do where the percentile needs fewer."""
    bar: float = 600.0
    """How long a rung is left alone that could not be loaded."""


@dataclass(frozen=True)
class ControllerState:
    """What the controller remembers of a ladder."""

    at: int
    """The rung in use."""
    since: float
    """When it came to be in use."""
    came_down: bool = False
    """Whether the model moved to it to save memory, and has not proved itself there yet."""
    ratio: float = 1.0
    """Seen over expected latency, when it was last known."""
    room_since: tuple[float | None, ...] = ()
    """For each rung, since when there is room for it."""
    strikes: tuple[int, ...] = ()
    """For each rung, how often it had to be left again."""
    barred_until: tuple[float, ...] = ()
    """For each rung, until when it is not tried."""

    @classmethod
    def start(cls, rungs: int, at: int, now: float, ratio: float = 1.0) -> "ControllerState":
        """Just arrived at a rung of a ladder that nothing is known of."""
        return cls(at, now, False, ratio, (None,) * rungs, (0,) * rungs, (-math.inf,) * rungs)


@dataclass(frozen=True)
class Move:
    """A move to make."""

    to: int
    reason: str
    """`faster`, `smaller`, or `objective` where the objective alone asks for it."""
    why: str
    """Why, in words, with the figures."""


def decide(
    rungs: Sequence[Rung], objective: Objective, state: ControllerState, seen: Seen, now: float, tuning: Tuning
) -> tuple[ControllerState, Move | None]:
    """What to remember, and the move to make, if any; `moved` or `barred` then tell what came of it."""
    barred = {index for index, until in enumerate(state.barred_until) if now < until}
    if objective.resolved is Mode.LATENCY or objective.latency is None:
        return state, _stay_at(rung_for(rungs, objective, barred - {state.at}), rungs, state, now, tuning)
    here = rungs[state.at]
    target = objective.latency.seconds
    state = _learn(here, state, seen, now, tuning)
    rested = now - state.since >= tuning.rest
    if is_missing(objective, seen, tuning):
        state = replace(state, room_since=(None,) * len(rungs))
        return state, _faster(rungs, objective, state, seen, barred, tuning) if rested else None
    if seen.samples < tuning.few:
        return replace(state, room_since=(None,) * len(rungs)), None
    fits = [
        rung.gpu_bytes < here.gpu_bytes and index not in barred and rung.seconds * state.ratio <= tuning.room * target
        for index, rung in enumerate(rungs)
    ]
    room_since = tuple(
        (now if since is None else since) if fit else None for fit, since in zip(fits, state.room_since, strict=True)
    )
    state = replace(state, room_since=room_since)
    ready = [
        index
        for index, since in enumerate(room_since)
        if since is not None and now - since >= patience(state, index, tuning)
    ]
    if not ready or not rested:
        return state, None
    to = min(ready, key=lambda index: rungs[index].gpu_bytes)
    waited = now - (room_since[to] or now)
    why = (
        f"p{objective.percentile:g} was {_ms(seen.seconds)}, the target is {_ms(target)}; {rungs[to].name} is expected "
        f"at {_ms(rungs[to].seconds * state.ratio)}, and has been for {waited:.0f} s"
    )
    return state, Move(to, "smaller", why)


def is_missing(objective: Objective, seen: Seen, tuning: Tuning) -> bool:
    """Whether the target is missed, or about to be.

    Certainly missed: far more answers are above it than the percentile allows, however few there are. About to be: the
    percentile is close to it, with enough samples to believe that.
    """
    if objective.latency is None or seen.seconds is None:
        return False
    allowed = 1 - objective.percentile / 100
    if seen.over >= 3 + 3 * allowed * seen.samples and seen.samples >= 4:
        return True
    enough = min(tuning.enough, max(tuning.few, math.ceil(1 / allowed)))
    return seen.samples >= enough and seen.seconds > tuning.about_to_miss * objective.latency.seconds


def moved(state: ControllerState, move: Move, now: float) -> ControllerState:
    """The state once a move was made."""
    strikes = list(state.strikes)
    if move.reason == "faster" and state.came_down:
        strikes[state.at] += 1
    return replace(
        state,
        at=move.to,
        since=now,
        came_down=move.reason == "smaller",
        room_since=(None,) * len(strikes),
        strikes=tuple(strikes),
    )


def barred(state: ControllerState, index: int, now: float, tuning: Tuning) -> ControllerState:
    """The state once a move to this rung has failed."""
    until = list(state.barred_until)
    until[index] = now + tuning.bar
    return replace(state, barred_until=tuple(until))


def patience(state: ControllerState, index: int, tuning: Tuning) -> float:
    """How long there must be room for a rung, in seconds."""
    return tuning.patience * 2.0 ** min(state.strikes[index], 20)


def _learn(here: Rung, state: ControllerState, seen: Seen, now: float, tuning: Tuning) -> ControllerState:
    """Take in what is seen: how far off expectations are, and that the rung has proved itself."""
    if seen.seconds is not None and seen.samples >= tuning.few and here.seconds:
        state = replace(state, ratio=seen.seconds / here.seconds)
    if state.came_down and now - state.since > 2 * patience(state, state.at, tuning):
        strikes = tuple(0 if index == state.at else count for index, count in enumerate(state.strikes))
        state = replace(state, came_down=False, strikes=strikes)
    return state


def _stay_at(wanted: int, rungs: Sequence[Rung], state: ControllerState, now: float, tuning: Tuning) -> Move | None:
    if wanted == state.at or now - state.since < tuning.rest:
        return None
    return Move(wanted, "objective", f"the objective asks for {rungs[wanted].name}")


def _faster(
    rungs: Sequence[Rung],
    objective: Objective,
    state: ControllerState,
    seen: Seen,
    barred: Collection[int],
    tuning: Tuning,
) -> Move | None:
    """To the smallest rung that is expected to leave room, else to the fastest; None where there is no faster one."""
    assert objective.latency is not None
    assert seen.seconds is not None
    here, target = rungs[state.at], objective.latency.seconds
    faster = [index for index, rung in enumerate(rungs) if rung.seconds < here.seconds and index not in barred]
    if not faster:
        return None
    ratio = seen.seconds / here.seconds
    leaving_room = [index for index in faster if rungs[index].seconds * ratio <= tuning.room * target]
    if leaving_room:
        to = min(leaving_room, key=lambda index: (rungs[index].gpu_bytes, rungs[index].seconds))
    else:
        to = min(faster, key=lambda index: (rungs[index].seconds, rungs[index].gpu_bytes))
    why = (
        f"p{objective.percentile:g} was {_ms(seen.seconds)}, the target is {_ms(target)}; {seen.over} of {seen.samples}"
        f" answers were above it; {rungs[to].name} is expected at {_ms(rungs[to].seconds * ratio)}"
    )
    return Move(to, "faster", why)


def _ms(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds * 1e3:.3g} ms"
