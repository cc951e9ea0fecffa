"""A model starts only where a GPU has what it may take free, and what ran out is told as such."""

import pytest

from chrion_api import GpuBytes, Plan, Stage
from chrion_planner.measuring.trial import parted
from chrion_runtime.devices import Device
from chrion_runtime.devices.emulated import Emulated, EmulatedMemory
from chrion_runtime.engines.onnxruntime.failure import run_error
from chrion_runtime.errors import OutOfMemory, PlanRefused, RunError, UnfitValues
from chrion_runtime.run.machine import Machine


class GpuMemory(EmulatedMemory):
    """That of a GPU of which others leave `free` bytes, and this process takes `taken`."""

    def __init__(self, free: int | None, taken: int | None) -> None:
        super().__init__("emulated:0")
        self.free, self.taken = free, taken

    def free_bytes(self) -> int | None:
        return self.free

    def used(self) -> GpuBytes | None:  # type: ignore[override]
        return None if self.taken is None else GpuBytes(workspace=self.taken)


def gpu_with(free: int | None, taken: int | None) -> Device:
    device = Emulated("emulated:0", 0)
    device.memory = GpuMemory(free, taken)
    return device


def plan(total: int, context: int = 100) -> Plan:
    return Plan(
        name="one",
        graph=f"{total:064}",
        stages=(Stage(nodes=(0,), lanes=("emulated:0/0",)),),
        predicted_seconds=1,
        gpu_bytes=GpuBytes(weights=total - context, context=context),
    )


def start(gpu: Device, budget: int | None, total: int = 400, machine: Machine | None = None, name: str = "m") -> None:
    plans = [plan(total)]
    (machine or Machine()).move_in(name, lambda: plans, plans, {"emulated:0": gpu}, budget)


def test_what_the_plan_takes_must_be_free() -> None:
    start(gpu_with(free=300, taken=100), None)  # the context is there
    with pytest.raises(PlanRefused) as caught:
        start(gpu_with(free=299, taken=100), None)
    assert str(caught.value) == (
        'emulated:0 has 299 bytes free, and "m" needs 300, which is slo.gpuMemory or what its plan takes: stop what '
        "else runs on the GPU (nvidia-smi lists it), lower slo.gpuMemory, or serve on another GPU"
    )


def test_all_of_the_budget_must_be_free() -> None:
    start(gpu_with(free=900, taken=100), 1000)
    with pytest.raises(PlanRefused, match="needs 900"):
        start(gpu_with(free=899, taken=100), 1000)


def test_a_gpu_that_cannot_tell_refuses_nothing() -> None:
    start(gpu_with(free=None, taken=None), 10**12)


def test_models_beside_each_other_share_the_context() -> None:
    machine = Machine()
    start(gpu_with(free=400, taken=0), None, machine=machine, name="a")
    # Without a figure, what plans state counts: a's 400 are loaded, and only b's own part is needed.
    start(gpu_with(free=300, taken=None), None, machine=machine, name="b")
    with pytest.raises(PlanRefused, match='"c" needs 300'):
        start(gpu_with(free=299, taken=None), None, machine=machine, name="c")


def test_an_exchange_needs_only_what_is_not_taken_yet() -> None:
    machine, old, new = Machine(), plan(400), plan(600)
    held = [old]

    def takes() -> list[Plan]:
        return held

    machine.move_in("m", takes, held, {"emulated:0": gpu_with(free=400, taken=0)})
    machine.check("m", takes, [old, new], {"emulated:0": gpu_with(free=500, taken=400)})
    with pytest.raises(PlanRefused, match="needs 500"):
        machine.check("m", takes, [old, new], {"emulated:0": gpu_with(free=499, taken=400)})


class Fail(Exception):
    """As ONNX Runtime names it."""


def test_memory_that_ran_out_is_an_error_of_its_own() -> None:
    found = run_error(Fail("Available memory of 1048576 is smaller than requested bytes of 4194304"), gpu=True)
    assert type(found) is OutOfMemory
    assert "the GPU is out of memory for this request" in str(found)
    assert "raise slo.gpuMemory" in str(found)
    assert type(run_error(Fail("CUDNN failure 5"))) is RunError
    assert type(run_error(Fail("indices element out of data bounds"))) is UnfitValues


@pytest.mark.parametrize(
    ("measured", "predicted", "expected"),
    [
        ((0, 0, 900, 100), (500, 300, 0, 80), (500, 300, 100, 100)),
        ((0, 0, 600, 100), (500, 300, 0, 80), (500, 100, 0, 100)),
        ((0, 0, 200, 100), (500, 300, 0, 80), (200, 0, 0, 100)),
        ((10, 20, 0, 0), (500, 300, 0, 80), (10, 20, 0, 0)),  # a device that tells the parts itself
    ],
)
def test_a_total_is_parted_by_what_was_predicted(
    measured: tuple[int, ...], predicted: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    def of(numbers: tuple[int, ...]) -> GpuBytes:
        weights, activations, workspace, context = numbers
        return GpuBytes(weights=weights, activations=activations, workspace=workspace, context=context)

    found = parted(of(measured), of(predicted))
    assert found == of(expected)
    assert found.total == of(measured).total
