"""Measuring in spells: what other real processes on the lanes, and a processor that changes its speed, do to it."""

import os
import time
from math import inf

import pytest

from chrion_planner import reference
from chrion_planner.profiling import spells
from chrion_planner.profiling.spells import Spells
from chrion_planner.reference import Look, look

LANES = len(os.sched_getaffinity(0))


def test_other_work_on_the_lanes_is_noticed(busy):
    assert look(LANES).disturbed
    spells = Spells(LANES, inf)
    assert list(spells.measured([lambda: 1.0], lambda one, _: one)) == [1.0]
    assert "of the lanes' time" in spells.tainted


@pytest.fixture
def looks(monkeypatch):
    """`looks(one, another, …)`: what reference runs say, one after the other, and then the last of them for ever."""

    def of(*found: Look) -> None:
        left = list(found)
        monkeypatch.setattr(reference, "look", lambda lanes: left.pop(0) if len(left) > 1 else left[0])

    return of


CALM, DISTURBED, SLOWER = Look(0.0, 1.0), Look(0.5, 1.0), Look(0.0, 1.5)


def counted(monkeypatch, jobs: int, seconds: float = inf):
    """How often each of some jobs ran, and the spells, each of two jobs."""
    monkeypatch.setattr(spells, "_SPELL_SECONDS", 0.0)
    ran = [0] * jobs

    def job(index: int) -> float:
        ran[index] += 1
        return float(ran[index])

    found = Spells(1, time.monotonic() + seconds)
    values = list(found.measured([lambda index=index: job(index) for index in range(jobs)], lambda one, by: one * by))
    return ran, values, found


def test_a_disturbed_spell_alone_is_measured_again(monkeypatch, looks):
    looks(CALM, CALM, DISTURBED, CALM, CALM)
    ran, _, found = counted(monkeypatch, 3)
    assert ran == [1, 3 - 1, 1]
    assert not found.tainted


def test_what_stays_disturbed_is_said_and_no_work_for_ever(monkeypatch, looks):
    looks(CALM, DISTURBED)
    ran, _, found = counted(monkeypatch, 20)
    assert "other work took 50%" in found.tainted
    assert max(ran) == 2
    assert sum(ran) < 30, "what disturbs so many will not pass"


def test_figures_are_brought_to_the_first_speed(monkeypatch, looks):
    looks(CALM, SLOWER)
    _, values, found = counted(monkeypatch, 2)
    # The first job is run again, since the speed changed beside it; then both run at the new speed.
    assert values == pytest.approx([2 / 1.5, 1 / 1.5])
    assert not found.tainted


def test_no_spell_begins_when_time_is_over(monkeypatch, looks):
    looks(CALM)
    ran, values, found = counted(monkeypatch, 3, seconds=-1)
    assert ran == [0, 0, 0]
    assert not values
    assert not found.in_time
