"""Takes a core for a part of the time, ahead of every ordinary process: `python -m chrion_bench.stolen.thief`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

PERIOD = 0.012
"""Seconds in which it works once."""
_PRIORITY = 50
_READY = "ready"


class NotAllowed(Exception):
    """This process may not have a real-time priority, or not this core: why."""


@dataclass
class Theft:
    """What was taken."""

    share: float = 0.0
    """The part of the core's time, once the thief has ended: the kernel may have kept some for others."""


@contextmanager
def stolen(core: int, share: float) -> Iterator[Theft]:
    """Take this part of a core's time until the block ends. Raises NotAllowed."""
    theft = Theft()
    if not share:
        yield theft
        return
    command = [sys.executable, "-m", __spec__.name, str(core), str(share * PERIOD), str(os.getpid())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = process.stdout.readline().strip()
        if said != _READY:
            raise NotAllowed(said or "the process that takes the core ended")
        yield theft
    finally:
        process.terminate()
        rest, _ = process.communicate()
        theft.share = float(rest or 0.0)


def main(core: int, busy: float, parent: int) -> None:
    """Work for `busy` seconds of every PERIOD until told to end; then print the share of the time that it has had."""
    signal.signal(signal.SIGTERM, _end)
    try:
        os.sched_setaffinity(0, {core})
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    except OSError as error:
        print(f"a process cannot take core {core} ahead of others: {error.strerror}", flush=True)
        return
    print(_READY, flush=True)
    began, worked = time.perf_counter(), time.process_time()
    try:
        _work(parent, busy)
    finally:
        share = (time.process_time() - worked) / (time.perf_counter() - began)
        print(share, flush=True)


def _work(parent: int, busy: float) -> None:
    """Until the parent dies, since nothing else would stop it."""
    due = time.perf_counter()
    while os.getppid() == parent:
        until = time.perf_counter() + busy
        while time.perf_counter() < until:
            pass
        due = max(due + PERIOD, time.perf_counter())
        if (left := due - time.perf_counter()) > 0:
            time.sleep(left)


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
