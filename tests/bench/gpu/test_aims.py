"""The aims on a GPU, judged from hand-made results: what is met, what is missed, and what cannot be told."""

import pytest

from chrion_bench.gpu.aims import LATENCY, MEMORY, aims, dominates, misstated, partition_gain, savings
from chrion_bench.gpu.sessions import BOUND, ORIGINAL, PLACED
from tests.bench.gpu.results import CONTEXT, MIB, plan, ran, result


def verdicts(*results: dict[str, object]) -> list[str]:
    return [aim.verdict for aim in aims(results)]


def test_all_met() -> None:
    assert verdicts(result("a", 0.5), result("b", 1.0)) == ["pass"] * 6


def test_nothing_measured_is_no_pass() -> None:
    assert verdicts() == ["not measured"] * 6


@pytest.mark.parametrize(
    ("latencies", "expected"),
    [
        ((0.61, 0.9), ["miss", "pass", "pass"]),
        ((0.55, 1.5), ["pass", "miss", "miss"]),
        ((0.5, 1.03), ["pass", "pass", "miss"]),
        ((0.5, 1.02), ["pass", "pass", "pass"]),
    ],
)
def test_latency(latencies: tuple[float, float], expected: list[str]) -> None:
    found = aims([result(f"m{place}", times) for place, times in enumerate(latencies)])
    assert [aim.verdict for aim in found[:3]] == expected


def test_a_model_without_its_baseline_is_counted_as_not_there() -> None:
    broken = result("b")
    broken["contenders"][ORIGINAL] = {"absent": "it fell back"}
    for contender in broken["contenders"].values():
        contender.pop("gain", None)
    assert "over 1 of 2 models" in aims([result("a"), broken])[1].value
    assert verdicts(broken)[:5] == ["not measured"] * 5


def test_memory_is_held_against_the_smaller_session_without_the_context() -> None:
    (saving,) = [one for one in savings([result()]) if one.contender.startswith(MEMORY)]
    assert saving.saved == pytest.approx(1 - 10 / 80)
    assert (saving.times, saving.work) == (pytest.approx(1.4), 0.3)


@pytest.mark.parametrize(
    ("times", "own", "work"), [(1.4, 13 * MIB, 0.3), (2.1, 10 * MIB, 0.3), (1.4, 10 * MIB, 0.19)], ids=str
)
def test_memory_missed(times: float, own: int, work: float) -> None:
    item = result(**{f"{MEMORY}-1": ran(times, own)})
    item["plans"][f"{MEMORY}-1"] = plan(own, work)
    assert aims([item])[3].verdict == "miss"


def test_memory_needs_work_on_the_gpu_at_all() -> None:
    item = result()
    for one in item["plans"].values():
        one["gpuWork"] = 0.1
    assert aims([item])[3].verdict == "miss"


def test_all_on_the_cpu_saves_everything_and_does_not_count() -> None:
    item = result(**{f"{MEMORY}-1": ran(1.4, 0)})
    item["plans"][f"{MEMORY}-1"] = plan(0, 0.0)
    assert aims([item])[3].verdict == "miss"


def test_domination() -> None:
    assert dominates(result())
    smaller = result(**{f"{PLACED}-50%": ran(1.2, 9 * MIB)})
    assert dominates(smaller) is False
    assert aims([result("a"), smaller])[4].value == "1 of 2 models; not m"
    one_lost = result(**{f"{PLACED}-25%": ran(0.4, 50 * MIB)})
    assert dominates(one_lost) is False, "every placement must be beaten"


def test_domination_within_noise() -> None:
    assert dominates(result(**{f"{PLACED}-50%": ran(0.495, 61 * MIB)})), "as fast within noise, and smaller"
    assert dominates(result(**{f"{PLACED}-50%": ran(0.495, 60 * MIB)})) is False, "as fast, and no smaller"


def test_domination_without_bytes_cannot_be_told() -> None:
    assert dominates(result(**{f"{PLACED}-50%": ran(2.0)})) is None
    assert dominates(result(**{f"{PLACED}-50%": {"absent": "no statistics"}})) is None


def test_stated_memory() -> None:
    off = result(**{LATENCY: ran(0.5, 60 * MIB + (60 * MIB + CONTEXT) // 10)})
    assert misstated(off)[LATENCY] == pytest.approx(1 - 1 / 1.1, abs=0.01)
    found = aims([result("a"), off])[5]
    assert found.verdict == "miss"
    assert f"(m, {LATENCY})" in found.value


def test_what_the_partition_adds_is_told_against_the_better_single_device() -> None:
    assert partition_gain(result(latency=0.5)) == pytest.approx(0.6 / 0.5)
    cpu = result(latency=0.5, **{"rewritten-cpu": ran(0.55, 0)})
    assert partition_gain(cpu) == pytest.approx(1.1)


def test_memory_of_one_original_is_enough() -> None:
    (saving, *_) = savings([result(**{BOUND: {"absent": "it failed"}})])
    assert saving.saved == pytest.approx(0.4)
