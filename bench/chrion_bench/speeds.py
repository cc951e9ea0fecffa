"""How fast this machine computes and reads at best, by a few lines of C that are compiled here: nothing beats that."""

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

_SOURCE = Path(__file__).with_name("speeds.c")
_FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")
_ALIGNED = 64

SIZES = tuple(1 << power for power in range(14, 26))
"""Bytes that each core reads over and over: from what fits into any first cache to 32 MiB."""
_ROUNDS, _READ, _TRIES = 1_000_000, 256 << 20, 8
"""Rounds of multiplying and bytes to read in each try; the best one counts."""

Work = Callable[[], float]
"""Does something, and says how much."""


class CannotCompile(Exception):
    """There is no C compiler that compiles the functions: why."""


def measured(cores: int) -> dict[str, Any]:
    """As JSON data: `flopsPerSecond` and, for each size that a core has of its own, the `bytesPerSecond` read of it, of
    one core and of all together; or why they are `absent`."""
    try:
        with compiled() as functions:
            computing, *reading = _best(
                [[partial(functions.multiply_add, _ROUNDS)] * cores, *_readers(functions, cores)]
            )
    except CannotCompile as error:
        return {"absent": str(error)}
    reads = [{"bytes": size, "bytesPerSecond": rate} for size, rate in zip(SIZES, reading, strict=True)]
    return {"flopsPerSecond": computing, "reads": reads}


@contextmanager
def compiled() -> Iterator[ctypes.CDLL]:
    """The functions of `speeds.c`. Raises CannotCompile."""
    command = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if not shutil.which(command[0]):
        raise CannotCompile(f"there is no C compiler {command[0]}")
    with tempfile.TemporaryDirectory(prefix="chrion-speeds-") as folder:
        path = Path(folder) / "speeds.so"
        done = subprocess.run(
            [*command, *_FLAGS, "-o", str(path), str(_SOURCE)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CannotCompile(f"{command[0]} fails: {(done.stderr.strip() or 'no reason given').splitlines()[0]}")
        functions = ctypes.CDLL(str(path))
        functions.multiply_add.argtypes = (ctypes.c_int64,)
        functions.read_over.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        functions.multiply_add.restype = functions.read_over.restype = ctypes.c_double
        yield functions


def _reader(functions: ctypes.CDLL, size: int) -> Work:
    """Reads a buffer of its own."""
    buffer = np.ones(size + _ALIGNED, np.uint8)
    start = -buffer.ctypes.data % _ALIGNED
    part = buffer[start : start + size]
    return lambda: functions.read_over(part.ctypes.data, size, max(1, _READ // size))


def _readers(functions: ctypes.CDLL, cores: int) -> list[list[Work]]:
    return [[_reader(functions, size) for _ in range(cores)] for size in SIZES]


def _best(teams: Sequence[Sequence[Work]]) -> list[dict[str, float]]:
    """The best rate of each team's first one alone, and of all of it. All teams take turns, so that what disturbs the
    machine for a while spoils no team's every try."""
    best = [{"oneCore": 0.0, "allCores": 0.0} for _ in teams]
    for _ in range(_TRIES):
        for team, rates in zip(teams, best, strict=True):
            rates["oneCore"] = max(rates["oneCore"], _once(team[:1]))
            rates["allCores"] = max(rates["oneCore"], rates["allCores"], _once(team))
    return best


def _once(works: Sequence[Work]) -> float:
    """How much all do a second, each in a thread of its own: C runs without the interpreter lock."""
    start = threading.Barrier(len(works))
    done: list[tuple[float, float, float]] = []

    def run(work: Work) -> None:
        start.wait()
        began = time.perf_counter()
        much = work()
        done.append((began, time.perf_counter(), much))

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    began, ended, much = zip(*done, strict=True)
    return float(sum(much) / (max(ended) - min(began)))
