"""The CPU: one lane a core that this process may use."""

import os
from collections.abc import Mapping
from functools import cache
from math import ceil
from pathlib import Path

from chrion_api import HOST, DeviceKey
from chrion_runtime.devices.device import Device
from chrion_runtime.devices.memory import HostMemory
from chrion_runtime.errors import DeviceUnavailable

CGROUP = Path("/sys/fs/cgroup")
"""This process's own cgroup, as a container sees it."""

_WIDEST = (("avx512", "avx512f"), ("avx2", "avx2"), ("avx", "avx"), ("sve", "sve"), ("neon", "asimd"), ("sse2", "sse2"))
"""What each is called in /proc/cpuinfo, the widest first."""


class Cpu(Device):
    """CPU cores; lanes are not pinned, their sessions have as many threads as lanes."""

    def __init__(self, lanes: int = 0) -> None:
        """`lanes` 0 takes as many as the process may use. Raises DeviceUnavailable for more than there are."""
        cores = usable_cores()
        if not 0 <= lanes <= cores:
            raise DeviceUnavailable(
                f"cpu: {lanes} lanes were requested, but this process may use at most {cores}; request fewer, or 0 "
                "for all"
            )
        super().__init__(HOST, HostMemory(), lanes or cores)

    @classmethod
    def open(cls, name: str, index: int) -> "Cpu":
        del name, index
        return cls()

    def key(self, engines: Mapping[str, str]) -> DeviceKey:
        return DeviceKey(product=product(), cores=usable_cores(), instructions=instructions(), engines=dict(engines))


@cache
def instructions() -> str:
    """The widest vector instructions that the processor has; empty where it does not say."""
    return next((name for name, flag in _WIDEST if flag in flags()), "")


@cache
def flags() -> frozenset[str]:
    """What the processor can do, by the names that Linux has for it."""
    return frozenset(word for line in _cpuinfo() if line.startswith(("flags", "Features")) for word in line.split())


@cache
def product() -> str:
    """The processor's product name."""
    for line in _cpuinfo():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return os.uname().machine


@cache
def usable_cores() -> int:
    """Cores that this process may use: its affinity, or less where a cgroup has a quota."""
    cores = len(os.sched_getaffinity(0))
    quota = _quota()
    return max(1, min(cores, ceil(quota))) if quota else cores


def _cpuinfo() -> list[str]:
    return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()


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
