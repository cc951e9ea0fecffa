"""One model's way through the bench: which plans are raced, and how much of the work is on the GPU."""

from pathlib import Path

import onnx
import pytest

from chrion import planning
from chrion_api import InputSpec, Plan, Stage
from chrion_bench.gpu.model import accelerated, best_alone, spread
from chrion_bench.gpu.suite import DRY_NAMES, NAMES, REAL_FILES, gpu_suite
from chrion_bench.suite import REAL
from chrion_models.families import find


def plan(name: str, seconds: float, *lanes: str) -> Plan:
    stages = tuple(Stage(nodes=(index,), lanes=(lane,)) for index, lane in enumerate(lanes))
    return Plan(name=name, graph="g", stages=stages, predicted_seconds=seconds)


PLANS = [plan("gpu", 3, "cuda:0/0"), plan("gpu+re-roll", 2, "cuda:0/0"), plan("both", 1, "cuda:0/0", "cpu/0")]


def test_the_best_single_device() -> None:
    found = best_alone(PLANS, "cuda:0")
    assert found is not None
    assert found.name == "gpu+re-roll"
    assert best_alone(PLANS, "cpu") is None


def test_smaller_plans_are_spread_over_the_frontier() -> None:
    plans = [plan(str(number), 1, "cpu/0") for number in range(9)]
    assert [one.name for one in spread(plans, 4)] == ["0", "3", "5", "8"]
    assert spread(plans[:3], 4) == plans[:3]


def test_work_is_counted_in_operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHRION_CACHE", str(tmp_path / "cache"))
    case = find("lstm-forward-l2-h16-s8-b1")
    onnx.save(case.build(), tmp_path / "model.onnx")
    inputs = tuple(InputSpec(name=name, shape=shape) for name, shape in case.inputs.items())
    bucket = (
        planning.PlanningTask(tmp_path / "model.onnx", inputs, devices=("cpu",)).prepare().buckets[0].variants[0].bucket
    )
    first = next(index for index, node in enumerate(bucket.graph.nodes) if node.op_type == "LSTM")
    rest = tuple(index for index in range(len(bucket.graph.nodes)) if index != first)
    stages = (Stage(nodes=(first,), lanes=("cuda:0/0",)), Stage(nodes=rest, lanes=("cpu/0",)))
    half = Plan(name="half", graph="g", stages=stages, predicted_seconds=1)
    assert accelerated(half, bucket) == pytest.approx(0.5, abs=0.05), "one of two layers"


def test_the_list_is_a_fair_sample_from_its_first_part_on() -> None:
    entries = gpu_suite()
    assert [entry.name for entry in entries] == list(NAMES)
    first = entries[:7]
    assert any(entry.family == REAL for entry in first)
    assert any(not entry.whole_layer for entry in first)
    assert any(entry.whole_layer and entry.family != REAL for entry in first)
    assert {("-b8" in entry.name) for entry in first} == {True, False}
    assert [entry.name for entry in gpu_suite(dry=True)] == list(DRY_NAMES)
    assert set(REAL_FILES) == {"nsnet2.onnx", "silero_vad.onnx"}
