"""What a pod says of its plan, as little of it as people look at; and all that is no answer."""

import json

import pytest

from chrion_api import InvalidDocument
from chrion_operator.cluster.answer import answer_of, two_digits
from tests.support.hostile.answers import SAID, TEXTS


def test_the_plan_and_its_figures() -> None:
    answer = answer_of(json.dumps(SAID).encode())
    assert (answer.plan, answer.meets_slo, answer.slo_met, answer.stale) == ("heft", True, True, "")
    assert (answer.latency_seconds, answer.predicted_seconds, answer.measured_seconds) == (0.012, 0.009, 0.012)
    assert answer.gpu_bytes == 1023
    assert answer.devices == ("cpu", "cuda:0")


def test_of_several_buckets_the_slowest_counts() -> None:
    other = {"meetsSLO": False, "plan": {"name": "cpu-all", "predictedSeconds": 0.5, "measured": None}}
    answer = answer_of(json.dumps({**SAID, "buckets": [*SAID["buckets"], other]}).encode())
    assert (answer.plan, answer.meets_slo, answer.predicted_seconds) == ("heft, cpu-all", False, 0.5)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_something_else_is_no_answer(text: bytes) -> None:
    with pytest.raises(InvalidDocument) as caught:
        answer_of(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_what_a_newer_runtime_adds_is_no_matter() -> None:
    more = {**SAID, "new": {"a": [1]}, "observed": {**SAID["observed"], "new": 1}}
    more["buckets"][0]["plan"]["measured"]["new"] = 1
    assert answer_of(json.dumps(more).encode()) == answer_of(json.dumps(SAID).encode())


def test_what_people_are_shown_has_an_end() -> None:
    stages = [{"lanes": [f"cuda:{number}/0"]} for number in range(1000)]
    plan = {"name": "p" * 253, "predictedSeconds": 1, "stages": stages}
    buckets = [{"meetsSLO": True, "plan": {**plan, "name": f"{number:0253}"}} for number in range(20)]
    answer = answer_of(json.dumps({**SAID, "buckets": buckets, "stale": {"message": "x" * 100_000}}).encode())
    assert len(answer.plan) == len(answer.stale) == 1024
    assert len(answer.devices) == 64


@pytest.mark.parametrize(("seconds", "rounded"), [(0.0, 0.0), (None, None), (0.0123456, 0.012), (1.99, 2.0)])
def test_latencies_have_two_digits(seconds: float | None, rounded: float | None) -> None:
    assert two_digits(seconds) == rounded
