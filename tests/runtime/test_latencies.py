"""Histograms that are summed up when asked for, and the last minute of one."""

import threading
from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrion_runtime.latencies import Histogram, Recent, Window
from chrion_runtime.latencies.histogram import BOUNDS, SHORT_BUCKETS
from chrion_runtime.latencies.window import PARTS, SECONDS

SLICE = SECONDS / PARTS

seconds = st.one_of(st.floats(0, 2000), st.sampled_from(BOUNDS))


@given(st.lists(seconds), st.sampled_from([BOUNDS, SHORT_BUCKETS]))
def test_prometheus_buckets_count_what_is_not_above_them(values, own):
    histogram = Histogram(own)
    for value in values:
        histogram.observe(value)
    ordered = sorted(values)
    for bound, count in histogram.cumulative(SHORT_BUCKETS):
        assert count == bisect_right(ordered, float(bound))
    assert histogram.count == len(values)
    assert histogram.sum == pytest.approx(sum(values))


@given(st.lists(st.floats(2e-6, 800), min_size=1), st.floats(1, 99))
def test_a_percentile_is_within_a_hundredth_of_the_value_that_it_is_about(values, percent):
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    true = sorted(values)[max(0, -int(-len(values) * percent // 100) - 1)]
    found = Recent(histogram.counts, 1.0).at(percent)
    assert found == pytest.approx(true, rel=0.01)


def test_no_percentile_of_nothing():
    assert Recent(Histogram().counts, 1.0).at(99) is None


@given(st.lists(seconds), st.lists(seconds))
def test_adding_histograms_counts_both(first, second):
    one, two, both = Histogram(), Histogram(), Histogram()
    for value in first:
        one.observe(value)
        both.observe(value)
    for value in second:
        two.observe(value)
        both.observe(value)
    one.add(two)
    assert one.counts == both.counts
    assert one.sum == pytest.approx(both.sum)


def test_threads_lose_no_count():
    histogram = Histogram()

    def count():
        for _ in range(20_000):
            histogram.observe(0.001)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert histogram.count == 160_000
    assert histogram.sum == pytest.approx(160)


@given(st.lists(st.tuples(st.floats(0, 40), st.booleans()), max_size=60))
def test_the_window_holds_the_last_minute(steps):
    """`steps`: how long until the next value, and whether someone looks first."""
    histogram, now, counted = Histogram(), 1000.0, []
    window = Window(histogram, now)
    for pause, look in steps:
        now += pause
        if look:
            found = window.recent(now).count
            assert found >= sum(at > now - SECONDS + SLICE for at in counted)
            assert found <= sum(at > now - SECONDS - 2 * SLICE for at in counted)
        if now >= window.due:
            window.turn(now)
        histogram.observe(0.5)
        counted.append(now)
    assert window.recent(now + 2 * SECONDS).count == 0
    assert window.recent(now + 2 * SECONDS).at(99) is None


def test_rate():
    histogram = Histogram()
    window = Window(histogram, 0.0)
    for _ in range(600):
        histogram.observe(0.010)
    recent = window.recent(30.0)
    assert recent.rate == pytest.approx(20)
    assert recent.at(50) == pytest.approx(0.010, rel=0.1)
