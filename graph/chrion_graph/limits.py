"""What a model may cost while it is loaded and checked. Models are untrusted until then."""

from dataclasses import dataclass
from pathlib import Path

GIB = 1 << 30


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
    """Time for loading, and again for one run."""

    @property
    def memory(self) -> int:
        """Address space of a process that loads or runs the model, in bytes."""
        return self.memory_bytes if self.memory_bytes is not None else max(GIB, _free_bytes() * 3 // 4)


def _free_bytes() -> int:
    """Memory that this process may still take: the machine's, or less where a cgroup says so."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
            break
    else:
        free = 4 * GIB
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdecimal():
            free = min(free, int(text))
    return free
