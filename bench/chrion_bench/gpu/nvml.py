"""GPU memory as NVML tells it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def process_bytes(device: str) -> int | None:
    """What this process takes on a CUDA device, its context included; None where that cannot be told."""
    with _handle(device) as (nvml, handle):
        if handle is None:
            return None
        for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle):
            if process.pid == os.getpid() and process.usedGpuMemory is not None:
                return int(process.usedGpuMemory)
    return None


def free_bytes(device: str) -> int | None:
    """What is free on a CUDA device; None where that cannot be told."""
    with _handle(device) as (nvml, handle):
        return None if handle is None else int(nvml.nvmlDeviceGetMemoryInfo(handle).free)


@contextmanager
def _handle(device: str) -> Iterator[tuple[Any, Any]]:
    """NVML, and its handle of the device; None for what is no CUDA device, or where there is no NVML."""
    kind, _, index = device.partition(":")
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # noqa: BLE001, the package, the library or the driver is missing
        yield None, None
        return
    try:
        yield pynvml, pynvml.nvmlDeviceGetHandleByIndex(int(index)) if kind == "cuda" else None
    finally:
        pynvml.nvmlShutdown()
