"""What a model may cost while it is loaded and checked. Models are untrusted until then."""

import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GIB = 1 << 30

MANY_NODES = 10_000
"""Nodes above which a graph is given more time."""

CGROUP = Path("/sys/fs/cgroup")
"""This process's own cgroup, as a container sees it."""
_CGROUPS = (
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Of version 2 and of version 1: the folder, and what holds the limit, what is used and what of that can be dropped."""


@dataclass(frozen=True)
class Limits:
    """Limits on a model and on the processes that load, check and profile it."""

    model_bytes: int = 8 * GIB
    """The model's file and its external data."""
    nodes: int = 100_000
    """Nodes, those inside control flow counted too."""
    external_files: int = 4096
    """Files of external data; where a model has more, it can be saved with all of it in one."""
    memory_bytes: int | None = None
    """Address space of a process that loads or runs the model; None for three quarters of what is free."""
    seconds: float = 120.0
    """Time for loading, and again for one run, of a graph of MANY_NODES or fewer."""

    def seconds_for(self, nodes: int) -> float:
        """Time for loading a graph of so many nodes, and again for one run: it grows with them."""
        return self.seconds * max(1.0, nodes / MANY_NODES)

    @property
    def memory(self) -> int:
        """Address space of a process that loads or runs the model, in bytes."""
        return self.memory_bytes if self.memory_bytes is not None else max(GIB, free_bytes() * 3 // 4)


def free_bytes() -> int:
    """Memory that this process may still take: the machine's, or less where a cgroup or a limit of its address space
    (`ulimit -v`) says so."""
    return max(0, min([_on_machine(), *_in_cgroup(), *_in_address_space()]))


def _on_machine() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 4 * GIB


def _in_cgroup() -> Iterator[int]:
    """What the cgroup that a container sees leaves of its limit; files that were read and can be dropped are free."""
    for folder, limit, usage, droppable in _CGROUPS:
        try:
            text, used, stat = (
                (CGROUP / folder / name).read_text(encoding="ascii") for name in (limit, usage, "memory.stat")
            )
        except OSError:
            continue
        if text.strip().isdecimal():  # else it says "max"
            files = dict(line.split() for line in stat.splitlines()).get(droppable, "0")
            yield int(text) - int(used) + int(files)


def _in_address_space() -> Iterator[int]:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        yield limit - pages * resource.getpagesize()
