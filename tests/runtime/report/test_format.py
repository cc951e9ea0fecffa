"""How numbers and names are written."""

import pytest

from chrion_runtime.report import format as write
from tests.support.plan_files import MIB


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 µs"),
        (4.5e-7, "0.45 µs"),
        (9.996e-6, "10.0 µs"),
        (843e-6, "843 µs"),
        (0.99996e-3, "1.00 ms"),
        (1.234e-3, "1.23 ms"),
        (0.0999, "99.9 ms"),
        (0.9999, "1.00 s"),
        (1234.5, "1,234 s"),
    ],
)
def test_seconds(value, text):
    assert write.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1023, "1.00 KiB"),
        (12.3 * MIB, "12.3 MiB"),
        (1023 * MIB, "1.00 GiB"),
        (5 * 2**50, "5,120 TiB"),
    ],
)
def test_bytes(value, text):
    assert write.size(int(value)) == text


def test_lanes_are_drawn_together():
    assert write.lanes(["cpu/10", "cpu/2", "cpu/9", "cuda:0/0"]) == "cpu/2, cpu/9–10, cuda:0/0"  # noqa: RUF001
    assert write.lanes(["odd", "cpu/x"]) == "cpu/x, odd"
