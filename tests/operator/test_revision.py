"""The revision changes with what a plan depends on, and with nothing else."""

from typing import Any

import pytest

from chrion_operator.nodes import NodeClass
from chrion_operator.revision import revision
from chrion_operator.settings import Settings
from tests.support.objects import owner, spec

CPU = NodeClass("cpu-amd64", gpu=False)
BEFORE = revision(owner(), spec(), CPU, Settings())


def test_it_is_ten_hex_digits_and_always_the_same() -> None:
    assert len(BEFORE) == 10
    assert int(BEFORE, 16) >= 0
    assert revision(owner(), spec(), CPU, Settings()) == BEFORE


@pytest.mark.parametrize(
    "fields",
    [
        {"model": {"uri": "pvc://models/other.onnx"}},
        {"model": {"uri": "pvc://models/nsnet2.onnx", "sha256": "a" * 64}},
        {"inputs": [{"name": "input", "shape": [1, 50, 161]}]},
        {"devices": {"cpuLanes": 2}},
        {"runtime": {"resources": {"limits": {"cpu": 4}}}},
        {"planner": {"resources": {"limits": {"cpu": 4}}}},
    ],
)
def test_what_a_plan_depends_on_plans_anew(fields: dict[str, Any]) -> None:
    assert revision(owner(), spec(**fields), CPU, Settings()) != BEFORE


@pytest.mark.parametrize(
    "fields",
    [
        {"slo": {"latency": "5ms"}},
        {"mode": "Memory"},
        {"state": [{"output": "a", "input": "b"}]},
        {"paused": True},
        {"limits": {"runMemory": "2Gi"}},
        {"runtime": {"replicas": 5, "nodeSelector": {"a": "b"}, "podTemplate": {"metadata": {"labels": {"a": "b"}}}}},
        {"runtime": {"resources": {"limits": {"memory": "4Gi"}}}},
        {"runtime": {"resources": {"limits": {"cpu": 1}}}},
        {"planner": {"timeout": "1h", "queueName": "batch"}},
    ],
)
def test_what_no_plan_depends_on_does_not(fields: dict[str, Any]) -> None:
    assert revision(owner(), spec(**fields), CPU, Settings()) == BEFORE


def test_class_image_and_annotation_plan_anew() -> None:
    replanned = owner(annotations={"chrion.dev/replan": "1"})
    others = {
        revision(owner(), spec(), NodeClass("cpu-arm64", gpu=False), Settings()),
        revision(owner(), spec(), CPU, Settings(planner_image="here/planner:2")),
        revision(replanned, spec(), CPU, Settings()),
    }
    assert len(others - {BEFORE}) == 3
    assert revision(owner(), spec(), CPU, Settings(planner_gpu_image="here/planner:2")) == BEFORE
