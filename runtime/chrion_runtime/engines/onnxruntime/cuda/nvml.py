"""What this process takes of a GPU's memory, as NVML counts it."""

import os
from collections.abc import Sequence
from functools import cache
from typing import Any

from chrion_api import GpuBytesFrom
from chrion_runtime.engines.onnxruntime.cuda.driver import Driver

_before: dict[int, int] = {}
"""By GPU, what was taken of it before this process used it."""


def remember(index: int) -> None:
    """Note what is taken of a GPU that this process has not used yet; the first time counts."""
    if index not in _before and (handle := _handle(index)) is not None:
        _before[index] = _used(handle)


def taken(index: int) -> tuple[int, GpuBytesFrom] | None:
    """Bytes that this process takes of GPU number `index`, its context included, and how that is told.

    None where NVML is not there.
    """
    handle = _handle(index)
    if handle is None:
        return None
    import pynvml

    try:
        processes = [
            (process.pid, process.usedGpuMemory) for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        ]
    except pynvml.NVMLError:  # not on MIG parts of some drivers
        processes = []
    return share(processes, os.getpid(), _used(handle), _before.get(index, 0))


def share(processes: Sequence[tuple[int, int | None]], own: int, used: int, before: int) -> tuple[int, GpuBytesFrom]:
    """What process `own` takes: as NVML lists it, else as the GPU's difference.

    Containers see pids of their own, and NVML those of the host, so that a process may not find itself; on some systems
    NVML lists it without a figure. `used` is what is taken of the GPU now, `before` what was before the process came.
    The difference is right on a GPU that nobody else began or ended to use meanwhile.
    """
    for pid, taken_bytes in processes:
        if pid == own and taken_bytes is not None:
            return taken_bytes, GpuBytesFrom.PROCESS
    return max(0, used - before), GpuBytesFrom.DEVICE


def _used(handle: Any) -> int:
    import pynvml

    return int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)


@cache
def _handle(index: int) -> Any:
    """NVML's handle of the GPU that is CUDA's number `index`; None where NVML is not there."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        uuid = Driver().uuid(index)
    except (pynvml.NVMLError, OSError):
        return None
    for kind in ("GPU", "MIG"):
        try:
            return pynvml.nvmlDeviceGetHandleByUUID(f"{kind}-{uuid}")
        except pynvml.NVMLError:
            continue
    return None
