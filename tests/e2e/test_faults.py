"""What goes wrong with a model is said in its conditions, in the words of what went wrong, and leaves nothing."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from chrion_models.families import find
from tests.e2e.model_server import METADATA_SERVICE, ModelServer
from tests.e2e.served import SMALL_INPUTS, Served
from tests.support.cluster import Cluster
from tests.support.operator import OperatorProcess


@pytest.fixture(scope="module")
def broken(
    node: Cluster, operator: OperatorProcess, models: ModelServer, namespace: str
) -> Iterator[Mapping[str, Served]]:
    """Models that cannot be served, each for a reason of its own, applied at once."""
    good = models.add("good.onnx", find("lstm-bidirectional-l2-h16-s8-b2").build().SerializeToString())
    models.redirects["elsewhere.onnx"] = METADATA_SERVICE
    little = {"resources": {"limits": {"cpu": "1", "memory": "48Mi"}, "requests": {"cpu": "100m", "memory": "48Mi"}}}
    specs: dict[str, dict[str, Any]] = {
        "missing": {"uri": models.url("no-such.onnx")},
        "led-elsewhere": {"uri": models.url("elsewhere.onnx")},
        "other-digest": {"uri": good, "model": {"uri": good, "sha256": "0" * 64}},
        "no-model": {"uri": models.add("corrupt.onnx", b"\x08\x09garbage" * 100)},
        "no-memory": {"uri": good, "planner": little},
        "no-time": {"uri": good, "planner": {"timeout": "1ms"}},
    }
    made = {name: Served(node, namespace, name, **{"inputs": SMALL_INPUTS, **spec}) for name, spec in specs.items()}
    for served in made.values():
        served.apply()
    yield made
    for served in made.values():
        served.delete()


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("missing", "ModelNotFound", "no-such.onnx"),
        ("led-elsewhere", "FetchRefused", "169.254.169.254"),
        ("other-digest", "DigestMismatch", "0" * 64),
        ("no-model", "InvalidModel", ""),
    ],
)
def test_a_model_that_cannot_be_had_stalls(broken: Mapping[str, Served], name: str, reason: str, words: str) -> None:
    broken[name].wait_for("Stalled", "True", reason, words)
    ready = broken[name].condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", reason)
    assert broken[name].pods() == []


def test_a_planner_without_memory_says_so(broken: Mapping[str, Served]) -> None:
    broken["no-memory"].wait_for("Ready", "False", words="memory")


def test_a_planner_without_time_keeps_the_best_so_far(broken: Mapping[str, Served]) -> None:
    broken["no-time"].wait_for("Serving")
    (pod,) = broken["no-time"].pods()
    assert broken["no-time"].plan_of(pod)["buckets"]
