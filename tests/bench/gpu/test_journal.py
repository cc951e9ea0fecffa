"""Steps share the minutes, go on past failures, and name what they had no time for."""

from dataclasses import dataclass
from threading import Barrier

import pytest

from chrion_api import ChrionError
from chrion_bench.gpu.journal import Journal, verdict


@dataclass(frozen=True)
class Item:
    name: str


ITEMS = [Item("a"), Item("b"), Item("c")]


class Clock:
    """Time that passes only when told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("chrion_bench.gpu.journal.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_what_a_step_leaves_goes_to_the_next(clock: Clock) -> None:
    journal = Journal({"one": 1, "two": 1, "three": 2}, minutes=4)
    with journal.step("one") as step:
        assert step.left == 60
        clock.now += 30
    with journal.step("two") as step:
        assert step.left == 70
        clock.now += 120
    with journal.step("three") as step:
        assert step.left == 90
        clock.now += 1000
    assert [step.seconds for step in journal.steps] == [30, 120, 1000]


def test_items_share_a_step_and_the_rest_is_left_out(clock: Clock) -> None:
    shares = []

    def work(item: Item, seconds: float) -> None:
        shares.append(seconds)
        clock.now += 25

    journal = Journal({"one": 1}, minutes=1)
    with journal.step("one") as step:
        step.each(ITEMS, work)
    assert shares == [20, 17.5]
    assert (step.done, step.left_out) == (["a", "b"], ["c"])
    assert step.said == "2 done; no time for c"


def test_the_first_item_is_always_begun(clock: Clock) -> None:
    journal = Journal({"one": 1, "two": 1}, minutes=1)
    with journal.step("one"):
        clock.now += 100
    with journal.step("two") as step:
        step.each(ITEMS, lambda item, seconds: None)
    assert step.done[0] == "a"


def test_failures_are_named_and_nothing_stops() -> None:
    def work(item: Item, seconds: float) -> None:
        if item.name == "b":
            raise ChrionError("it fell over")

    journal = Journal({"one": 1, "two": 1, "three": 1}, minutes=1)
    with journal.step("one") as step:
        step.each(ITEMS, work)
    assert step.done == ["a", "c"]
    with journal.step("two"):
        raise ValueError("a defect")
    with journal.step("three"):
        pass
    assert journal.failed == {"one": {"b": "it fell over"}, "two": {"two": "ValueError: a defect"}}
    line = verdict(journal.to_data(), 65)
    assert line == "FAILED: one: b: it fell over; two: two: ValueError: a defect. 1:05 minutes"


def test_work_together_is_at_once() -> None:
    meet = Barrier(3, timeout=10)
    journal = Journal({"one": 1}, minutes=1)
    with journal.step("one") as step:
        step.together(ITEMS, lambda item, seconds: meet.wait() and None, at_once=3)
    assert sorted(step.done) == ["a", "b", "c"]
