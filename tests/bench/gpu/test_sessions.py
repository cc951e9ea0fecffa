"""Plain sessions on the accelerator, with the CPU in its place: they answer alike, and never fall back unseen."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from chrion_bench.gpu.accelerator import GPU, STAND_IN
from chrion_bench.gpu.sessions import (
    BOUND,
    GRAPH,
    ORIGINAL,
    PLACED,
    STATS,
    TENSORRT,
    budgets,
    collect,
    originals,
    placed,
)
from chrion_graph.equality import difference
from chrion_models.families import find
from chrion_models.inputs import random_inputs
from chrion_runtime.errors import DeviceUnavailable

CASE = find("gru-bidirectional-l2-h16-s8-b2")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(CASE.build(), path)
    return path


def test_bound_or_not_the_answer_is_the_same(model: Path) -> None:
    feeds = random_inputs(model, CASE.inputs)
    plain, bound, *_ = originals(STAND_IN, model, feeds, tensorrt=False)
    expected = plain.load().run()
    runner = bound.load()
    assert difference(runner.run(), expected) == ""
    assert difference(runner.run(), expected) == "", "and so it is when its places are used again"
    assert runner.used() is None, "no GPU, no bytes"


def test_a_gpu_gets_the_same_precision_in_every_session(model: Path) -> None:
    found = {session.name: session for session in originals(GPU, model, {}, tensorrt=True)}
    assert list(found) == [ORIGINAL, BOUND, GRAPH, TENSORRT]
    options: list[Any] = [dict(session.providers)["CUDAExecutionProvider"] for session in found.values()]
    assert {option["use_tf32"] for option in options} == {"0"}
    assert [option.get("enable_cuda_graph") for option in options] == [None, None, "1", None]
    assert "arena_extend_strategy" not in options[0], "people's own session has ONNX Runtime's own settings"
    assert next(iter(found[TENSORRT].providers))[0] == "TensorrtExecutionProvider"


def test_a_silent_fallback_is_an_error(model: Path) -> None:
    session, *_ = originals(STAND_IN, model, random_inputs(model, CASE.inputs), tensorrt=False)
    fallen = replace(session, providers=(("CUDAExecutionProvider", {}), ("CPUExecutionProvider", {})))
    with pytest.raises(DeviceUnavailable, match="fell back to CPUExecutionProvider"):
        fallen.load()


def test_placement_takes_what_onnx_runtime_counted(model: Path) -> None:
    session, *_ = originals(STAND_IN, model, random_inputs(model, CASE.inputs), tensorrt=False)
    collect(session)
    found = budgets((model.parent / STATS).read_text())
    assert list(found) == sorted(found), "from little to much"
    for one in placed(session, GPU, found):
        assert one.name.startswith(PLACED)
        assert dict(one.config) == {"session.resource_cuda_partitioning_settings": f"{found[one.name[-3:]]},{STATS}"}


def test_budgets() -> None:
    header = "#name,input_sizes,initializers_sizes,total_dynamic_sizes,total_temp_allocations\n"
    assert budgets(header + "a,1024,2048,1024,0\nb,0,4096,0,0\n") == {"25%": 2, "50%": 4, "75%": 6}
    assert budgets(header + "a,0,1024,0,0\n") == {"25%": 1}, "what comes to the same counts once"
    with pytest.raises(ValueError, match="invalid literal"):
        budgets("a,b,c\n")
