"""The speeds of the machine: that they are measured, or why not."""

import shutil

import pytest

from chrion_bench import speeds


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speeds, "SIZES", (1 << 14, 1 << 16))
    monkeypatch.setattr(speeds, "_ROUNDS", 1000)
    monkeypatch.setattr(speeds, "_READ", 1 << 17)
    monkeypatch.setattr(speeds, "_TRIES", 2)


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
def test_every_core_computes_and_reads() -> None:
    found = speeds.measured(cores=2)
    assert [entry["bytes"] for entry in found["reads"]] == [1 << 14, 1 << 16]
    rates = [found["flopsPerSecond"], *(entry["bytesPerSecond"] for entry in found["reads"])]
    assert all(0 < rate["oneCore"] <= rate["allCores"] for rate in rates)


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
def test_work_is_counted() -> None:
    with speeds.compiled() as functions:
        once, twice = functions.multiply_add(10), functions.multiply_add(20)
        assert 0 < 2 * once == twice
        assert speeds._reader(functions, 1 << 16)() == pytest.approx(1 << 17, rel=0.02)


def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    assert speeds.measured(cores=1) == {"absent": "there is no C compiler no-such-compiler"}
    monkeypatch.setenv("CC", "false")
    assert speeds.measured(cores=1) == {"absent": "false fails: no reason given"}
