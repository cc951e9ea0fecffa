"""The memory of runs: one limit for a process, whatever asks for too much, and all that is free given back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from chrion_graph import limits
from chrion_graph.limits import free_bytes
from chrion_graph.model_worker import isolated
from chrion_runtime.devices.run_memory import PAUSE, RUN_MEMORY
from chrion_runtime.engines.onnxruntime.arena import ARENA
from chrion_runtime.engines.onnxruntime.failure import run_error
from chrion_runtime.errors import OutOfMemory, OverMemory, RunError, RuntimeFailure, UnfitValues
from tests.support.control_flow import TextModel
from tests.support.served import planned_model

MIB = 1 << 20
LIMIT = 64 * MIB


def apart(function: Callable[..., Any], *arguments: object, memory: int | None = None) -> Any:
    """Run it in a process of its own: the limit is set once in each."""
    return isolated(function, *arguments, memory_bytes=memory, seconds=100, what="a test")


def session(text: str) -> ort.InferenceSession:
    """A session of a model as text, in the common arena."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    ARENA.share(options)
    return ort.InferenceSession(TextModel(text, ()).build().SerializeToString(), options)


ZEROS = "zeros (int64[1] n) => (float[k] z) { z = ConstantOfShape (n) }"


def zeros(count: int) -> dict[str, NDArray[Any]]:
    return {"n": np.array([count // 4])}


def _lifetime() -> list[int]:
    RUN_MEMORY.hold_to(LIMIT)
    one, two = session(ZEROS), session(ZEROS)
    found = [RUN_MEMORY.taken()]
    held = one.run(None, zeros(8 * MIB))
    two.run(None, zeros(16 * MIB))
    found += [RUN_MEMORY.taken(), RUN_MEMORY.trim()]
    del held
    return [*found, RUN_MEMORY.trim()]


def test_sessions_share_one_arena_and_what_nobody_holds_is_given_back() -> None:
    assert apart(_lifetime) == [0, 24 * MIB, 8 * MIB, 0]


def _tended() -> list[int]:
    RUN_MEMORY.hold_to(1 << 30)
    one, found = session(ZEROS), []
    for count in (10 * MIB, 200 * MIB):
        one.run(None, zeros(count))
        RUN_MEMORY._next_look -= PAUSE  # it passes at once
        RUN_MEMORY.tend()
        found.append(RUN_MEMORY.taken())
    return found


def test_what_is_usual_is_kept_and_what_is_not_given_back() -> None:
    assert apart(_tended) == [10 * MIB, 0]


def _set_twice() -> int:
    RUN_MEMORY.hold_to(MIB)
    RUN_MEMORY.hold_to(LIMIT)
    session(ZEROS)
    RUN_MEMORY.hold_to(LIMIT)
    try:
        RUN_MEMORY.hold_to(MIB)
    except RuntimeFailure:
        return RUN_MEMORY.limit
    return 0


def test_the_limit_is_set_before_the_first_session() -> None:
    assert apart(_set_twice) == LIMIT


def _default() -> tuple[int, int]:
    return free_bytes(), RUN_MEMORY.limit


def test_by_default_it_is_a_part_of_what_the_process_may_take() -> None:
    free, limit = apart(_default, memory=4 << 30)
    assert limit < free < 4 << 30
    assert limit > free // 2


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"memory.max": "1000", "memory.current": "300", "memory.stat": "anon 1\ninactive_file 200\n"}, 900),
        ({"memory.max": "max", "memory.current": "300", "memory.stat": "inactive_file 0\n"}, None),
        (
            {
                "memory/memory.limit_in_bytes": "1000",
                "memory/memory.usage_in_bytes": "400",
                "memory/memory.stat": "total_inactive_file 0\n",
            },
            600,
        ),
        ({"memory.max": "1000", "memory.current": "1300", "memory.stat": "anon 1\n"}, 0),
    ],
)
def test_a_container_knows_what_is_left_of_its_memory(
    files: dict[str, str], left: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(limits, "CGROUP", tmp_path)
    assert free_bytes() == left if left is not None else free_bytes() > 1000


TWICE = "twice (int64[1] n) => (float y) { z = ConstantOfShape (n) w = Neg (z) y = ReduceSum <keepdims = 0> (w) }"


def _stage_by_stage(folder: Path) -> list[Any]:
    """Of each number of bytes, of which the model takes twice as much in a stage each: the answer, or the error."""
    RUN_MEMORY.hold_to(LIMIT)
    one, found = planned_model("m", TWICE, {"n": (1,)}, folder), []
    for count in (10 * MIB, 30 * MIB, 40 * MIB, 31 * MIB):
        try:
            found.append(float(one.run(zeros(count))["y"]))
        except RunError as error:
            found.append(type(error)(str(error)))
    one.close()
    return [*found, RUN_MEMORY.trim()]


def test_what_a_failed_run_and_those_before_it_hold_is_in_nobodys_way(tmp_path: Path) -> None:
    *answers, after, held = apart(_stage_by_stage, tmp_path)
    assert answers[:2] == [0.0, 0.0]
    assert after == 0.0
    assert held < MIB
    assert type(answers[2]) is OverMemory
    assert f"more memory than the {LIMIT} bytes" in str(answers[2])
    assert "the run alone needs more memory" in str(answers[2])


N = "int64[1] n"
OPERATORS = {
    "Expand": f"m ({N}, float[1] x) => (float[k] z) {{ z = Expand (x, n) }}",
    "Tile": f"m ({N}, float[1] x) => (float[k] z) {{ z = Tile (x, n) }}",
    "Range": "m (int64 n, int64 a, int64 b) => (int64[k] z) { z = Range (a, n, b) }",
    "OneHot": "m (int64 n, int64[1] i, float[2] x) => (float[a, k] z) { z = OneHot (i, n, x) }",
    "Resize": f'm ({N}, float[1] x) => (float[k] z) {{ z = Resize <mode = "nearest"> (x, , , n) }}',
    "Pad": "m (int64[2] n, float[1] x) => (float[k] z) { z = Pad (x, n) }",
}
OTHERS = {
    "x": np.ones(1, np.float32),
    "a": np.array(0),
    "b": np.array(1),
    "i": np.array([0]),
}


def _asked_for(name: str, count: int) -> RunError | None:
    RUN_MEMORY.hold_to(LIMIT)
    one = session(OPERATORS[name])
    feeds = {}
    for given in one.get_inputs():
        if given.name == "n":
            feeds["n"] = np.full(given.shape, count)
        else:
            feeds[given.name] = np.broadcast_to(OTHERS[given.name], given.shape).copy()
    try:
        one.run(None, feeds)
    except Exception as error:  # noqa: BLE001, ONNX Runtime raises many types
        found = run_error(error)
        return type(found)(str(found))
    return None


def _all_asked_for(count: int) -> dict[str, RunError | None]:
    return {name: _asked_for(name, count) for name in OPERATORS}


@pytest.mark.parametrize("count", [10**8, 2**61, 2**62, 2**63 - 1])
def test_sizes_that_values_decide_fail_as_the_requests_fault(count: int) -> None:
    kinds = {name: type(error) for name, error in apart(_all_asked_for, count).items()}
    assert set(kinds.values()) <= {OverMemory, UnfitValues}, kinds
    if count == 10**8:
        assert set(kinds.values()) == {OverMemory}


def test_whose_memory_ran_out() -> None:
    class Fail(Exception):
        """As ONNX Runtime names it."""

    full = Fail("Available memory of 1 is smaller than requested bytes of 4096")
    on_host = run_error(full)
    assert type(on_host) is OutOfMemory
    assert on_host.on_host
    assert "no CPU memory left" in str(on_host)
    assert "--run-memory" in str(on_host)
    for error in (MemoryError("Unable to allocate 8. GiB"), RuntimeError("std::bad_alloc")):
        assert str(run_error(error)) == str(on_host)
    on_gpu = run_error(full, gpu=True)
    assert type(on_gpu) is OutOfMemory
    assert "the GPU is out of memory" in str(on_gpu)
    assert "slo.gpuMemory" in str(on_gpu)
    assert not on_gpu.on_host
