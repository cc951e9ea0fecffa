"""The CPU: one lane a core that this process may use."""

import os
from collections.abc import Sequence
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from chrion_api import HOST, DeviceKey, Optimization
from chrion_runtime.devices.device import Device, options, stoppable
from chrion_runtime.devices.run_memory import RUN_MEMORY
from chrion_runtime.errors import DeviceUnavailable
from chrion_runtime.servable import Array
from chrion_runtime.stop import Stop

CGROUP = Path("/sys/fs/cgroup")
"""This process's own cgroup, as a container sees it."""


class Cpu(Device):
    """CPU cores; lanes are not pinned, their sessions have as many threads as lanes."""

    def __init__(self, lanes: int = 0) -> None:
        """`lanes` 0 takes as many as the process may use. Raises DeviceUnavailable for more than there are."""
        cores = usable_cores()
        if not 0 <= lanes <= cores:
            raise DeviceUnavailable(
                f"cpu: {lanes} lanes were asked for, but this process may use {cores} cores; ask for no more, "
                "or 0 for all"
            )
        super().__init__(HOST, HOST, lanes or cores)

    @property
    def key(self) -> DeviceKey:
        return DeviceKey(product=product(), cores=usable_cores(), onnxruntime=ort.__version__)

    def session(
        self,
        path: Path,
        lanes: int,
        optimization: Optimization,
        spin: bool,
        *,
        capture: bool = False,
        limit: int | None = None,
    ) -> ort.InferenceSession:
        del capture, limit
        found = options(lanes, optimization, spin)
        RUN_MEMORY.share(found)
        return ort.InferenceSession(path, found, providers=["CPUExecutionProvider"])

    def put(self, array: Array) -> Array:
        return array

    def get(self, value: Array | ort.OrtValue) -> Array:
        array: Array = value if isinstance(value, np.ndarray) else value.numpy()
        return array

    def run(
        self,
        session: ort.InferenceSession,
        names: Sequence[str],
        values: Sequence[Array],
        outputs: Sequence[str],
        stop: Stop | None = None,
    ) -> list[Array]:
        options = None if stop is None else stoppable(ort.RunOptions(), stop)
        found: list[Array] = session.run(outputs, dict(zip(names, values, strict=True)), options)
        return found

    def allocate(self, dtype: np.dtype[Any], shape: Sequence[int]) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, dtype))


@cache
def product() -> str:
    """The processor's product name."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return os.uname().machine


@cache
def usable_cores() -> int:
    """Cores that this process may use: its affinity, or less where a cgroup has a quota."""
    cores = len(os.sched_getaffinity(0))
    quota = _quota()
    return max(1, min(cores, ceil(quota))) if quota else cores


def _quota() -> float | None:
    def read(name: str) -> str:
        try:
            return (CGROUP / name).read_text(encoding="ascii").strip()
        except OSError:
            return ""

    quota, _, period = (read("cpu.max") or f"{read('cpu/cpu.cfs_quota_us')} {read('cpu/cpu.cfs_period_us')}").partition(
        " "
    )
    if not quota.isdecimal() or not period.isdecimal():
        return None
    return int(quota) / int(period)
