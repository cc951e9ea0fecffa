"""The suite is fixed, and any first part of it samples the whole evenly."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from chrion_bench.suite import REAL, UNROLLED, interleaved, suite, traits
from chrion_models.families import cases


def test_holds_every_generated_case_and_the_real_models() -> None:
    entries = suite()
    names = [entry.name for entry in entries]
    assert len(names) == len(set(names)) == 333
    assert {case.name for case in cases()} < set(names)
    assert [entry.name for entry in entries if entry.family == REAL] == ["nsnet2-f50", "nsnet2-f200", "silero_vad"]
    assert all(entry.family == UNROLLED for entry in entries[3:30])


@pytest.mark.parametrize("part", [30, 75, 150])
def test_a_first_part_is_an_even_sample(part: int) -> None:
    rest = [entry for entry in suite() if entry.family not in (REAL, UNROLLED)]
    stacks = [entry.name for entry in rest if entry.family not in ("crnn", "encdec")]
    there = Counter(trait for name in stacks[:part] for trait in name.split("-"))
    whole = Counter(trait for name in stacks for trait in name.split("-"))
    for trait, count in whole.items():
        expected = count / len(stacks) * part
        assert abs(there[trait] - expected) <= max(2, 0.15 * expected), trait
    # Pairs too: lengths and batches must not alternate in step.
    pairs = Counter(tuple(name.split("-")[4:6]) for name in stacks[:part])
    assert min(pairs.values()) > part / 4 * 0.7


def test_the_order_does_not_hang_on_the_hash_seed() -> None:
    program = "from chrion_bench.suite import suite; print([entry.name for entry in suite()])"
    orders = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "4711")
    }
    assert len(orders) == 1


def test_what_has_come_least_comes_next() -> None:
    order = interleaved({name: traits(name) for name in ("a-h1", "a-h2", "b-h1", "b-h2")})
    first, second = order[0].split("-"), order[1].split("-")
    assert not set(first) & set(second)
