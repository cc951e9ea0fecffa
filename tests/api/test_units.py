"""Durations and quantities: what they accept, what they are worth, and what they refuse."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chrion_api import Duration, Quantity

MI = 1 << 20


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20ms", 0.02),
        ("1.5s", 1.5),
        ("1h30m", 5400),
        ("10m", 600),
        ("250us", 250e-6),
        ("250µs", 250e-6),
        ("250μs", 250e-6),
        ("100ns", 100e-9),
        ("1m0.5s", 60.5),
    ],
)
def test_duration_in_seconds(text: str, seconds: float) -> None:
    assert Duration(text).seconds == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    "text", ["", "20", "ms", "20 ms", "-1s", "1,5s", "1d", "20 bananas", ".5s", "1.s", "0", "0s", "0h0m", "1s\n"]
)
def test_duration_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        Duration(text)


def test_duration_refuses_what_kubernetes_cannot_count() -> None:
    assert Duration("2562047h").seconds < 2**63 / 1e9
    with pytest.raises(ValueError, match="292 years"):
        Duration("2562048h")
    with pytest.raises(ValueError, match="292 years"):
        Duration("9" * 400 + "s")


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(1, 999))
def test_duration_adds_its_parts(hours: int, minutes: int, milliseconds: int) -> None:
    text = f"{hours}h{minutes}m{milliseconds}ms"
    assert Duration(text).seconds == pytest.approx(hours * 3600 + minutes * 60 + milliseconds / 1000)
    assert Duration(text) == text


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("256Mi", 256 * MI),
        ("1.5Gi", 1536 * MI),
        ("1000000", 1_000_000),
        ("0", 0),
        ("1k", 1000),
        ("1M", 10**6),
        ("2T", 2 * 10**12),
        ("1Ei", 1 << 60),
        ("1E", 10**18),
        ("1e9", 10**9),
        ("1E9", 10**9),
        ("1.5e+3", 1500),
        ("1e0", 1),
        # There is no part of a byte: Kubernetes rounds up, too.
        ("0.5", 1),
        ("1.0001k", 1001),
        ("0.1Ki", 103),
    ],
)
def test_quantity_in_bytes(text: str, count: int) -> None:
    assert Quantity(text).bytes == count


@pytest.mark.parametrize(
    "text", ["", "Mi", "256mi", "256 Mi", "-1", "+1", "256MiB", "1e", "1e-3", "1e100", "1500m", "1u", "1n", "1K", "1\n"]
)
def test_quantity_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity of bytes such as 256Mi"):
        Quantity(text)


@pytest.mark.parametrize("text", ["8Ei", "9.3E", "1e99", "9" * 100])
def test_quantity_refuses_what_kubernetes_cannot_count(text: str) -> None:
    with pytest.raises(ValueError, match="more than 2\\^63 - 1 bytes"):
        Quantity(text)


@settings(deadline=None)
@given(st.integers(0, 2**63 - 1))
def test_quantity_of_plain_bytes_is_exact(count: int) -> None:
    assert Quantity(count).bytes == Quantity(str(count)).bytes == count


@settings(deadline=None)
@given(st.integers(0, 2**20), st.sampled_from(["k", "M", "G", "T"]))
def test_exponent_and_suffix_mean_the_same(number: int, suffix: str) -> None:
    power = 3 * ("kMGT".index(suffix) + 1)
    assert Quantity(f"{number}{suffix}").bytes == Quantity(f"{number}e{power}").bytes == number * 10**power
