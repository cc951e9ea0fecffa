"""States of several models within one budget of bytes: the longest idle of all goes first, and never one in use."""

import gc
from contextlib import suppress

import pytest

from chrion_runtime.errors import SequenceLost, SequencesFull, TooMuchToKeep
from chrion_runtime.sequences import Event, SequenceStore
from chrion_runtime.sequences.budget import StateBudget
from chrion_runtime.servable import SequenceStep


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1
        return self.now


@pytest.fixture
def stores():
    """Two models' stores and 100 bytes for both."""
    budget, clock = StateBudget(lambda: 100), Clock()
    return [SequenceStore(clock=clock, idle_seconds=1e9, budget=budget) for _ in range(2)]


def step(store, key, nbytes, **flags):
    with store.turn(SequenceStep(key, **flags)) as turn:
        turn.hold(nbytes, "the state")
        turn.left = "state"


def fail(store, key, nbytes):
    """A request that fails after it has been given room."""
    with suppress(ZeroDivisionError), store.turn(SequenceStep(key, start=True)) as turn:
        turn.hold(nbytes, "the state")
        raise ZeroDivisionError


def lives(store, key):
    try:
        with store.turn(SequenceStep(key)) as turn:
            turn.left = turn.state
    except SequenceLost:
        return False
    return True


def test_the_longest_idle_of_all_models_makes_room(stores):
    one, other = stores
    step(one, "first", 40, start=True)
    step(other, "second", 40, start=True)
    step(one, "third", 40, start=True)
    assert [lives(one, "first"), lives(other, "second"), lives(one, "third")] == [False, True, True]
    step(other, "fourth", 90, start=True)
    assert [lives(other, "second"), lives(one, "third"), lives(other, "fourth")] == [False, False, True]
    assert one.events[Event.EVICTED] == 2
    assert other.events[Event.EVICTED] == 1


def test_more_than_all_may_take_is_refused_and_costs_nobody_anything(stores):
    one, _ = stores
    step(one, "kept", 60, start=True)
    with pytest.raises(TooMuchToKeep, match=r"the state takes 101 bytes, and all states may take 100"):
        step(one, "huge", 101, start=True)
    with pytest.raises(TooMuchToKeep):
        step(one, "kept", 10**30)
    assert lives(one, "kept")
    assert not lives(one, "huge")


def test_sequences_in_use_are_waited_for(stores):
    one, other = stores
    with one.turn(SequenceStep("busy", start=True)) as turn:
        turn.hold(70, "the state")
        turn.left = "state"
        with pytest.raises(SequencesFull, match=r"the state takes 40 bytes, and sequences .* leave less"):
            step(other, "late", 40, start=True)
        step(other, "small", 30, start=True)
    assert lives(one, "busy")
    assert other.events[Event.FULL] == 1


def test_what_has_ended_failed_or_shrunk_takes_nothing_any_more(stores):
    one, other = stores
    step(one, "ends", 100, start=True)
    step(one, "ends", 100, end=True)
    fail(one, "fails", 100)
    step(one, "shrinks", 100, start=True)
    fail(one, "shrinks", 10)
    step(one, "shrinks", 10)
    step(other, "new", 90, start=True)
    assert lives(one, "shrinks")


def test_a_model_that_goes_takes_its_states_along():
    budget = StateBudget(lambda: 100)
    gone = SequenceStore(budget=budget)
    with gone.turn(SequenceStep(1, start=True)) as turn:
        turn.hold(100, "the state")
        turn.left = "state"
    # In use for ever, were it there.
    gone._enter(SequenceStep(1))
    del gone, turn
    gc.collect()
    step(SequenceStore(budget=budget), 2, 100, start=True)
