"""Contenders: OpenVINO answers as ONNX Runtime does, int8 nearly so, and both say why they cannot run a model."""

from math import inf
from pathlib import Path

import numpy as np
import onnx
import pytest

from chrion_bench.contenders import (
    DEFAULT,
    INT8,
    Int8Contender,
    OpenVinoContender,
    OpenVinoFailed,
    QuantizationFailed,
    baselines,
    largest_error,
)
from chrion_bench.race import Effort, race
from chrion_graph.equality import difference
from chrion_models.families import find
from chrion_models.inputs import random_inputs
from chrion_planner.measuring import SessionContender

CASE = find("lstm-bidirectional-l2-h16-s8-b2")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(CASE.build(), path)
    return path


def test_baselines_answer_alike(model: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is in the bench extra")
    feeds = random_inputs(model, CASE.inputs)
    default, *others = [one.load().run() for one in baselines(model, feeds) if one.name != INT8]
    assert [difference(answer, default) for answer in others] == [""] * 4


def test_int8_is_off_by_a_little_and_raced_all_the_same(model: Path) -> None:
    feeds = random_inputs(model, CASE.inputs)
    contenders = [SessionContender(DEFAULT, model, feeds), Int8Contender(INT8, model, feeds)]
    effort = Effort(rounds=2, turn_seconds=0.001)
    exact, int8 = race(contenders, effort, inexact={INT8})
    assert int8.rounds
    assert not int8.error
    # Without VNNI two products of bytes are added in 16 bits, which may overflow.
    assert 1e-4 < largest_error(int8.outputs, exact.outputs) < 0.5
    held = race(contenders, effort)[1]
    assert "differs by up to" in held.error


def test_largest_error() -> None:
    exact = {"y": np.array([1.0, 2.0]), "n": np.array([3])}
    assert largest_error({"y": np.array([1.0, 2.5]), "n": np.array([3])}, exact) == 0.5
    assert largest_error({"y": np.array([1.0, 2.0]), "n": np.array([5])}, exact) == 2
    assert largest_error({"y": np.array([1.0, np.nan]), "n": np.array([3])}, exact) == inf
    assert largest_error({"y": np.array([1.0]), "n": np.array([3])}, exact) == inf


def test_what_cannot_be_quantised_has_a_reason(model: Path) -> None:
    damaged = model.with_name("damaged.onnx")
    damaged.write_bytes(model.read_bytes()[:1000])
    with pytest.raises(QuantizationFailed, match="dynamic quantisation fails: "):
        Int8Contender(INT8, damaged, {}).load()


def test_what_openvino_cannot_run_has_a_reason(model: Path) -> None:
    feeds = random_inputs(model, CASE.inputs)
    damaged = model.with_name("damaged.onnx")
    damaged.write_bytes(model.read_bytes()[:1000])
    with pytest.raises(OpenVinoFailed, match=r"cannot run the model: |not installed: pip install chrion\[bench\]"):
        OpenVinoContender("openvino", damaged, feeds).load()
