"""What a pod says of its plan, as little of it as people look at."""

import pytest

from chrion_operator.cluster.pods import answer_of, two_digits

SAID = {
    "slo": {"latency": "20ms", "percentile": 90},
    "buckets": [
        {
            "meetsSLO": True,
            "plan": {
                "name": "heft",
                "predictedSeconds": 0.009,
                "stages": [{"lanes": ["cuda:0/1"]}, {"lanes": ["cpu/0", "cpu/1"]}],
                "measured": {"p50": 0.01, "p90": 0.012, "p99": 0.02, "repetitions": 100},
                "gpuBytes": {"weights": 1000, "activations": 20, "workspace": 3, "context": 0},
            },
        }
    ],
    "observed": {"seconds": 0.0123456, "sloMet": True},
    "stale": None,
}


def test_the_plan_and_its_figures() -> None:
    answer = answer_of(SAID)
    assert (answer.plan, answer.meets_slo, answer.slo_met, answer.stale) == ("heft", True, True, "")
    assert (answer.latency_seconds, answer.predicted_seconds, answer.measured_seconds) == (0.012, 0.009, 0.012)
    assert answer.gpu_bytes == 1023
    assert answer.devices == ("cpu", "cuda:0")


def test_of_several_buckets_the_slowest_counts() -> None:
    other = {"meetsSLO": False, "plan": {"name": "cpu-all", "predictedSeconds": 0.5, "measured": None}}
    answer = answer_of({**SAID, "buckets": [*SAID["buckets"], other]})  # type: ignore[misc]
    assert (answer.plan, answer.meets_slo, answer.predicted_seconds) == ("heft, cpu-all", False, 0.5)


@pytest.mark.parametrize("said", [None, {}, {"buckets": 3, "slo": {}}, {"buckets": [{}], "slo": {}}])
def test_something_else_is_no_answer(said: object) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        answer_of(said)


@pytest.mark.parametrize(("seconds", "rounded"), [(0.0, 0.0), (None, None), (0.0123456, 0.012), (1.99, 2.0)])
def test_latencies_have_two_digits(seconds: float | None, rounded: float | None) -> None:
    assert two_digits(seconds) == rounded
