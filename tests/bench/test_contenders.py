"""OpenVINO as a contender: it answers as ONNX Runtime does, and is absent with a reason where it cannot run."""

from pathlib import Path

import onnx
import pytest

from chrion_bench.contenders import OpenVinoContender, OpenVinoFailed, baselines
from chrion_graph.equality import difference
from chrion_models.families import find
from chrion_models.inputs import random_inputs

CASE = find("lstm-bidirectional-l2-h16-s8-b2")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(CASE.build(), path)
    return path


def test_baselines_answer_alike(model: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is in the bench extra")
    default, *others = [contender.load().run() for contender in baselines(model, random_inputs(model, CASE.inputs))]
    assert [difference(answer, default) for answer in others] == [""] * 4


def test_what_openvino_cannot_run_has_a_reason(model: Path) -> None:
    feeds = random_inputs(model, CASE.inputs)
    damaged = model.with_name("damaged.onnx")
    damaged.write_bytes(model.read_bytes()[:1000])
    with pytest.raises(OpenVinoFailed, match=r"cannot run the model: |not installed: pip install chrion\[bench\]"):
        OpenVinoContender("openvino", damaged, feeds).load()
