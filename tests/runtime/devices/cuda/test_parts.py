"""The parts of the CUDA device that need no GPU: options, the gate around captures, whose memory it is."""

import threading
import time

import onnxruntime as ort
import pytest

from chrion_api import GpuBytesFrom
from chrion_runtime.engines.onnxruntime.cuda.capture_gate import CaptureGate
from chrion_runtime.engines.onnxruntime.cuda.nvml import share, taken
from chrion_runtime.engines.onnxruntime.cuda.options import USE_TF32, provider, run_options, stage_provider


def test_all_sessions_round_alike() -> None:
    name, plain = provider(1)
    assert name == "CUDAExecutionProvider"
    assert plain == {"device_id": "1", "use_tf32": "1" if USE_TF32 else "0"}
    for capture in (False, True):
        assert stage_provider(1, capture, None)[1].items() >= plain.items()


def test_a_stage_takes_what_it_asks_for_and_no_more_than_it_may() -> None:
    options = stage_provider(0, False, 5 << 20)[1]
    assert options["arena_extend_strategy"] == "kSameAsRequested"
    assert options["gpu_mem_limit"] == str(5 << 20)
    assert "enable_cuda_graph" not in options
    assert stage_provider(0, True, None)[1]["enable_cuda_graph"] == "1"
    assert "gpu_mem_limit" not in stage_provider(0, True, None)[1]
    assert int(stage_provider(0, False, -7)[1]["gpu_mem_limit"]) > 0


def test_what_other_lanes_wait_for_stays_on() -> None:
    for capture in (False, True):
        assert "do_copy_in_default_stream" not in stage_provider(0, capture, None)[1]
    with pytest.raises(RuntimeError):
        run_options(1).get_run_config_entry("disable_synchronize_execution_providers")


def test_run_options_name_the_graph_and_the_arena() -> None:
    assert run_options(7).get_run_config_entry("gpu_graph_id") == "7"
    shrinking = run_options(-1, shrink=3)
    assert isinstance(shrinking, ort.RunOptions)
    assert shrinking.get_run_config_entry("gpu_graph_id") == "-1"
    assert shrinking.get_run_config_entry("memory.enable_memory_arena_shrinkage") == "gpu:3"


@pytest.mark.parametrize(
    ("processes", "expected"),
    [
        ([(7, 100), (42, 300)], (300, GpuBytesFrom.PROCESS)),
        ([(7, 100)], (450, GpuBytesFrom.DEVICE)),  # a container: the pids are the host's
        ([(42, None)], (450, GpuBytesFrom.DEVICE)),
        ([], (450, GpuBytesFrom.DEVICE)),
    ],
)
def test_whose_memory_it_is(processes: list[tuple[int, int | None]], expected: tuple[int, GpuBytesFrom]) -> None:
    assert share(processes, own=42, used=1450, before=1000) == expected


def test_a_difference_is_never_negative() -> None:
    assert share([], own=1, used=500, before=1000) == (0, GpuBytesFrom.DEVICE)


@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="this ONNX Runtime knows CUDA")
def test_without_a_driver_there_is_no_figure() -> None:
    assert taken(0) is None


def test_one_alone_waits_for_all_and_all_wait_for_one() -> None:
    gate, inside, order = CaptureGate(), threading.Semaphore(0), list[str]()
    leave = threading.Event()

    def use() -> None:
        with gate.use():
            inside.release()
            leave.wait(10)
            order.append("use")

    def alone() -> None:
        with gate.alone():
            order.append("alone")
            time.sleep(0.01)
            order.append("alone ends")

    def late() -> None:
        with gate.use():
            order.append("late")

    users = [threading.Thread(target=use) for _ in range(3)]
    for thread in users:
        thread.start()
    for _ in users:
        assert inside.acquire(timeout=10)  # all three are in at once
    loner = threading.Thread(target=alone)
    loner.start()
    while not gate._taken:
        time.sleep(0.001)
    latecomer = threading.Thread(target=late)
    latecomer.start()
    assert order == []
    leave.set()
    for thread in (*users, loner, latecomer):
        thread.join(10)
    assert order == ["use", "use", "use", "alone", "alone ends", "late"]


def test_a_gate_opens_again_after_a_failure() -> None:
    gate = CaptureGate()
    for block in (gate.alone, gate.use, gate.alone):
        with pytest.raises(ValueError, match="capture"), block():
            raise ValueError("capture")
    with gate.use(), gate.use():
        pass
