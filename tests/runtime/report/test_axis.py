"""Axes: ticks are round, few and inside."""

import pytest

from chrion_runtime.report.axis import bytes_axis, ruler, time_axis
from tests.support.plan_files import MIB


@pytest.mark.parametrize("high", [1e-9, 3.7e-6, 1.21e-3, 0.02, 7.0, 4000.0])
@pytest.mark.parametrize("most", [2, 5, 10])
def test_ticks_are_round_few_and_inside(high, most):
    axis = time_axis(0.0, high, most)
    assert 1 <= len(axis.ticks) <= most + 2
    assert all(0 <= value <= high * 1.0001 for value, _ in axis.ticks)
    assert len({text for _, text in axis.ticks}) == len(axis.ticks)
    assert axis.ticks[0] == (0.0, "0")
    marks, labels = ruler(axis, 40)
    assert len(marks) == 40
    assert axis.unit in labels
    assert len(labels) <= 40


def test_bytes_have_binary_ticks():
    assert [text for _, text in bytes_axis(839 * MIB, 5).ticks] == ["0", "200", "400", "600", "800"]
    assert bytes_axis(0, 5).unit == "KiB"
    assert bytes_axis(1.5 * 2**30, 4).unit == "GiB"
