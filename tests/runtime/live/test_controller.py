"""The controller against simulated models: it finds the right rung, keeps still there, and never goes to and fro."""

import math
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chrion_api import Mode, Objective, Plan, Stage
from chrion_runtime.choice.ladder import Rung, rung_for
from chrion_runtime.live.controller import ControllerState, Tuning, barred, decide, moved, patience
from chrion_runtime.live.window import Seen

TUNING = Tuning()
TARGET = 0.1
PLAN = Plan(name="p", graph="0" * 64, stages=(Stage(nodes=(0,), lanes=("cpu/0",)),), predicted_seconds=1)


def objective(mode=Mode.MEMORY, percentile=99.0, latency="100ms"):
    return Objective.parse({"latency": latency, "percentile": percentile, "mode": mode})


def ladder_of(seconds):
    """Rungs that are expected to take so long, each smaller than the one before."""
    count = len(seconds)
    return tuple(
        Rung((PLAN.model_copy(update={"name": f"plan {index}"}),), one, (count - 1 - index) * 100)
        for index, one in enumerate(seconds)
    )


@dataclass
class Plant:
    """A model whose plans really take `truth` seconds at the percentile, times the load of the moment."""

    rungs: tuple[Rung, ...]
    truth: tuple[float, ...]
    rate: float = 50.0
    load: float = 1.0

    def seen(self, at, since, now):
        """What a window shows: it started over when the rung was taken."""
        span = min(60.0, now - since)
        samples, seconds = int(self.rate * span), self.truth[at] * self.load
        if not samples:
            return Seen(0, 0, None, span)
        return Seen(samples, samples if seconds > TARGET else 0, seconds, span)


def fly(plant, wanted, seconds, start=None, loads=None, step=1):
    """Every move within a simulated time, as (time, from, move), and the last state."""
    at = rung_for(plant.rungs, wanted) if start is None else start
    state, found = ControllerState.start(len(plant.rungs), at, 0.0), []
    for now in range(step, int(seconds), step):
        if loads is not None:
            plant.load = loads(now)
        state, move = decide(plant.rungs, wanted, state, plant.seen(state.at, state.since, now), now, TUNING)
        if move is not None:
            found.append((now, state.at, move))
            state = moved(state, move, now)
    return found, state


ladders = st.lists(st.floats(0.002, 0.5), min_size=1, max_size=6, unique=True).map(sorted)
factors = st.lists(st.floats(0.3, 4.0), min_size=6, max_size=6)


@settings(max_examples=30, deadline=None)
@given(seconds=ladders, off=factors, start=st.integers(0, 5), percentile=st.sampled_from([50.0, 90.0, 99.0, 99.9]))
def test_moves_become_rare_whatever_plans_really_take(seconds, off, start, percentile):
    rungs = ladder_of(seconds)
    truth = tuple(one * factor for one, factor in zip(seconds, off, strict=False))
    hours = 6
    found, _ = fly(Plant(rungs, truth), objective(percentile=percentile), hours * 3600, start % len(rungs), step=5)
    # A rung that does not hold is tried again after 1, 2, 4, … minutes: each try costs a few moves.
    tries = math.log2(hours * 60) + 2
    assert len(found) <= 2 * len(rungs) * tries
    assert all(later - earlier >= TUNING.rest for (earlier, *_), (later, *_) in pairwise(found))
    late = [move for now, _, move in found if now > (hours / 2) * 3600]
    assert len(late) <= 2 * len(rungs)


@settings(max_examples=30, deadline=None)
@given(seconds=ladders, factor=st.floats(0.3, 4.0), start=st.integers(0, 5))
def test_it_settles_on_the_smallest_rung_that_leaves_room_where_predictions_are_right(seconds, factor, start):
    rungs = ladder_of(seconds)
    truth = tuple(one * factor for one in seconds)
    found, state = fly(Plant(rungs, truth), objective(), 1200, start % len(rungs))
    here = truth[state.at]
    slower = [one for one in truth if one > here]
    faster = [one for one in truth if one < here]
    assert here <= TUNING.about_to_miss * TARGET or not faster, "it left what misses the target"
    assert not slower or min(slower) > TUNING.room * TARGET, "it took what saves memory"
    assert len(found) <= 2
    settled, _ = fly(Plant(rungs, truth), objective(), 7200, state.at, step=10)
    assert settled == []


@settings(max_examples=40, deadline=None)
@given(seconds=ladders, off=factors, load=st.floats(0.1, 20))
def test_in_latency_mode_nothing_moves_it_from_the_fastest(seconds, off, load):
    rungs = ladder_of(seconds)
    plant = Plant(rungs, tuple(one * factor for one, factor in zip(seconds, off, strict=False)), load=load)
    wanted = objective(Mode.LATENCY)
    assert rung_for(rungs, wanted) == 0
    assert fly(plant, wanted, 600)[0] == []


def test_a_peak_is_answered_at_once_and_memory_is_saved_again_after_it():
    rungs = ladder_of((0.01, 0.03, 0.07))
    plant = Plant(rungs, (0.01, 0.03, 0.07))
    found, state = fly(plant, objective(), 3600, loads=lambda now: 3.0 if 600 <= now < 900 else 1.0)
    (first, source, up), *rest = found
    assert (source, up.reason) == (2, "faster")
    assert 600 <= first < 615
    assert up.to == 0  # the middle one would be at 90 % of the target
    assert [move.reason for _, _, move in rest] == ["smaller"]
    assert rest[0][0] >= 900 + TUNING.patience - 1
    assert state.at == 2


def test_a_rung_that_had_to_be_left_again_must_wait_longer_each_time():
    rungs = ladder_of((0.01, 0.05))
    found, _ = fly(Plant(rungs, (0.01, 0.2)), objective(), 3600, start=0)
    down = [now for now, _, move in found if move.reason == "smaller"]
    waits = [later - earlier for earlier, later in pairwise(down)]
    assert len(waits) >= 3
    assert all(later > 1.7 * earlier for earlier, later in pairwise(waits))


def test_a_rung_that_proves_itself_is_forgiven():
    rungs = ladder_of((0.01, 0.05))
    plant = Plant(rungs, (0.01, 0.05))
    _, state = fly(plant, objective(), 1500, start=0, loads=lambda now: 3.0 if 100 < now < 130 else 1.0)
    assert state.at == 1
    assert state.strikes == (0, 0)
    assert patience(state, 1, TUNING) == TUNING.patience


@pytest.mark.parametrize(
    ("seen", "moves"),
    [
        (Seen(0, 0, None, 10), False),
        (Seen(3, 3, 1.0, 10), False),
        (Seen(4, 4, 1.0, 10), True),  # four of four are over: no doubt
        (Seen(50, 1, 0.2, 10), False),  # one of fifty may be chance
        (Seen(200, 1, 0.095, 10), True),  # close to it, on enough samples
        (Seen(200, 0, 0.085, 10), False),
    ],
)
def test_how_much_must_be_seen(seen, moves):
    rungs = ladder_of((0.01, 0.08))
    _, move = decide(rungs, objective(), ControllerState.start(2, 1, 0.0), seen, 20.0, TUNING)
    assert (move is not None) is moves


def test_a_rung_that_cannot_be_loaded_is_left_alone_for_a_while():
    rungs = ladder_of((0.01, 0.03, 0.2))
    state = barred(ControllerState.start(3, 2, 0.0), 1, 0.0, TUNING)
    seen = Seen(500, 500, 0.2, 60)
    _, move = decide(rungs, objective(), state, seen, 20.0, TUNING)
    assert move.to == 0
    _, move = decide(rungs, objective(), state, seen, TUNING.bar + 1, TUNING)
    assert move.to == 1
    _, move = decide(rungs, objective(Mode.LATENCY), barred(state, 0, 0.0, TUNING), seen, 20.0, TUNING)
    assert move is None
    _, move = decide(rungs, objective(Mode.LATENCY), barred(state, 0, 0.0, TUNING), seen, TUNING.bar + 1, TUNING)
    assert (move.to, move.reason) == (0, "objective")


def test_what_it_says():
    rungs = ladder_of((0.01, 0.08))
    _, move = decide(rungs, objective(), ControllerState.start(2, 1, 0.0), Seen(500, 40, 0.12, 60), 20.0, TUNING)
    assert move.why == (
        "p99 was 120 ms, the target is 100 ms; 40 of 500 answers were above it; plan 0 is expected at 15 ms"
    )
