"""Whose state is kept: turns, bounds by count and by idle time, and the reason for every one that is gone."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from chrion_runtime.errors import SequenceLost, SequencesFull
from chrion_runtime.sequences import Event, SequenceStore
from chrion_runtime.servable import SequenceStep


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(clock):
    """Two sequences, ten seconds."""
    return SequenceStore(limit=2, idle_seconds=10.0, clock=clock)


def happened(store):
    return {event: count for event, count in store.events.items() if count}


def step(store, key, left="next", **flags):
    """One request; what it began with."""
    with store.turn(SequenceStep(key, **flags)) as turn:
        turn.left = left
        return turn.state


def test_state_goes_from_turn_to_turn(store):
    assert step(store, 7, "one", start=True) is None
    assert step(store, 7, "two") == "one"
    assert step(store, "7", "other", start=True) is None
    assert step(store, 7, "three", end=True) == "two"
    assert store.active == 1
    with pytest.raises(SequenceLost, match=r"sequence 7 has no state here: it has ended.*start again"):
        step(store, 7)
    assert step(store, "7") == "other"
    assert happened(store) == {Event.REFUSED: 1}


def test_a_start_begins_again(store):
    step(store, 1, "old", start=True)
    assert step(store, 1, "new", start=True) is None
    assert step(store, 1) == "new"
    assert step(store, 1, start=True, end=True) is None
    assert store.active == 0


def test_a_failure_leaves_all_as_it_was(store):
    step(store, 1, "kept", start=True)
    for flags in ({}, {"start": True}, {"end": True}):
        with pytest.raises(ZeroDivisionError), store.turn(SequenceStep(1, **flags)):
            raise ZeroDivisionError
        assert step(store, 1, "kept") == "kept"
    with pytest.raises(ZeroDivisionError), store.turn(SequenceStep(2, start=True)):
        raise ZeroDivisionError
    assert store.active == 1


def test_never_begun(store):
    with pytest.raises(SequenceLost, match='"stranger" has no state here: it was not started here; another replica'):
        step(store, "stranger")


def test_the_longest_idle_makes_room(store, clock):
    step(store, "a", start=True)
    step(store, "b", start=True)
    clock.now = 1
    step(store, "a")
    step(store, "c", start=True)
    assert store.active == 2
    with pytest.raises(SequenceLost, match='"b" has no state here: it was idle for the longest time when more than 2'):
        step(store, "b")
    assert step(store, "a") == "next"
    assert happened(store) == {Event.EVICTED: 1, Event.REFUSED: 1}


def test_a_sequence_in_use_makes_no_room(store):
    step(store, "idle", start=True)
    with store.turn(SequenceStep("busy", start=True)) as turn:
        turn.left = "state"
        with (
            store.turn(SequenceStep("also", start=True)),
            pytest.raises(SequencesFull, match="all 2 sequences that are kept at most"),
        ):
            step(store, "third", start=True)
    assert step(store, "busy") == "state"
    with pytest.raises(SequenceLost):
        step(store, "idle")
    assert store.events[Event.FULL] == 1


def test_idle_ones_expire(store, clock):
    step(store, "a", start=True)
    clock.now = 6
    step(store, "b", start=True)
    with store.turn(SequenceStep("a")) as turn:
        turn.left = "next"
        clock.now = 15.9
        assert store.active == 2
        clock.now = 40
        assert store.active == 1, "one in use never expires"
    with pytest.raises(SequenceLost, match='"b" has no state here: it was idle for more than 10 seconds'):
        step(store, "b")
    clock.now = 49.9
    assert step(store, "a") == "next"
    assert happened(store) == {Event.EXPIRED: 1, Event.REFUSED: 1}


def test_requests_of_one_sequence_take_turns_and_others_do_not_wait(store):
    inside, door = threading.Event(), threading.Event()
    order = []

    def first():
        with store.turn(SequenceStep(1, start=True)) as turn:
            inside.set()
            assert door.wait(60)
            order.append("first")
            turn.left = "first"

    def second():
        found = step(store, 1)
        order.append("second")
        return found

    with ThreadPoolExecutor(3) as pool:
        running = pool.submit(first)
        assert inside.wait(60)
        waiting = pool.submit(second)
        assert step(store, 2, start=True) is None
        assert not waiting.done()
        door.set()
        assert waiting.result(60) == "first"
        running.result(60)
    assert order == ["first", "second"]


def test_who_waits_for_a_sequence_that_ends_is_told_so(store):
    inside, door = threading.Event(), threading.Event()

    def last():
        with store.turn(SequenceStep(1, start=True, end=True)) as turn:
            inside.set()
            assert door.wait(60)
            turn.left = "never kept"

    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(last)
        assert inside.wait(60)
        waiting = pool.submit(step, store, 1)
        while store._entries[1].users != 2:
            threading.Event().wait(0.005)
        door.set()
        running.result(60)
        with pytest.raises(SequenceLost):
            waiting.result(60)
    assert store.active == 0


def test_a_bounded_number_of_reasons_is_remembered(store):
    from chrion_runtime.sequences.store import REMEMBERED

    for key in range(REMEMBERED + 10):
        step(store, key, start=True, end=True)
    with pytest.raises(SequenceLost, match="not started here"):
        step(store, 3)
    with pytest.raises(SequenceLost, match="has ended"):
        step(store, 4000)


def scoped(scope, key=1, **flags):
    return SequenceStep(key, scope=scope, **flags)


def test_sequences_of_a_scope_are_apart_and_go_together():
    store = SequenceStore()
    step(store, 1, "outside", start=True)
    for scope in ("a", "b"):
        for key in (1, "1"):
            with store.turn(scoped(scope, key, start=True)) as turn:
                turn.left = scope
    assert store.active == 5
    store.forget("a")
    assert store.active == 3
    with store.turn(scoped("b")) as turn:
        assert turn.state == "b"
    assert step(store, 1) == "outside"
    with (
        pytest.raises(SequenceLost, match=r"sequence 1 has no state here.*a stream has its own"),
        store.turn(scoped("a")),
    ):
        pass
    assert happened(store) == {Event.REFUSED: 1}


def test_a_sequence_in_use_goes_once_it_is_not(store):
    with store.turn(scoped("a", start=True)) as turn:
        store.forget("a")
        assert store.active == 1
        turn.left = "too late"
    assert store.active == 0
    with pytest.raises(SequenceLost), store.turn(scoped("a", start=True)):
        pass  # a run that comes after its stream has ended
