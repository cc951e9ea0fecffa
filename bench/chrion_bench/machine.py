"""The machine that figures were taken on: what it is, what is installed, and how fast it reads its memory."""

import platform
import re
import subprocess
import threading
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from chrion.version import __version__
from chrion_runtime.devices.cpu import product, usable_cores

_READS = 8
_LEAST_BYTES = 256 << 20
_CACHES = 8
"""The buffer is this many times the last-level cache, so that next to nothing of it is still there on a second read."""


def describe() -> dict[str, Any]:
    """The machine, the versions of what is measured, and the commit, as JSON data."""
    return {
        "machine": {
            "cpu": product(),
            "cores": usable_cores(),
            "lastLevelCacheBytes": last_level_cache(),
            "memoryBytesPerSecond": memory_bandwidth(usable_cores()),
            "system": platform.platform(),
        },
        "versions": {
            "chrion": __version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in ("onnxruntime", "openvino", "onnx", "numpy")},
        },
        "commit": commit(),
    }


def file_stem() -> str:
    """What results of this machine are called."""
    return f"cpu-{slug(product())}-{usable_cores()}-cores"


def slug(name: str) -> str:
    """A product's name as part of a file's name."""
    return "-".join(re.findall("[a-z0-9.]+", re.sub(r"\((r|tm|c)\)", "", name.lower())))


def memory_bandwidth(threads: int) -> float:
    """Bytes a second at which all threads together read a buffer far larger than any cache: the best of some reads."""
    size = max(_LEAST_BYTES, _CACHES * last_level_cache())
    parts = np.array_split(np.ones(size // 4, np.float32), threads)
    return size / min(_read_seconds(parts) for _ in range(_READS))


def _read_seconds(parts: list[Any]) -> float:
    """Seconds until every part has been read, each by a thread of its own; numpy reads without the interpreter lock."""
    start = threading.Barrier(len(parts) + 1)

    def read(part: Any) -> None:
        start.wait()
        np.max(part)

    readers = [threading.Thread(target=read, args=(part,)) for part in parts]
    for reader in readers:
        reader.start()
    start.wait()
    began = time.perf_counter()
    for reader in readers:
        reader.join()
    return time.perf_counter() - began


def last_level_cache() -> int:
    """Bytes of the largest cache of the first core; 0 where the system does not say."""
    sizes = [
        path.read_text(encoding="ascii").strip() for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("*/size")
    ]
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return max((int(size.rstrip("KMG")) * units.get(size[-1], 1) for size in sizes), default=0)


def commit() -> str:
    """The commit that is checked out, with `+` where files but results differ from it; empty outside a checkout."""
    found = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)bench/results")
    return f"{found}+" if found and changed else found


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
