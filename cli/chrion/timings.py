"""How long each step of planning took, from what it tells of its progress."""

import resource
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from rich.table import Table

_CLOCK_TICKS = 100
"""Of /proc, on Linux on all processors (USER_HZ)."""


class Timings:
    """Seconds by step; the first is what the command took to start."""

    def __init__(self) -> None:
        self._started = _process_started()
        self._steps: list[tuple[str, float]] = []
        """Each step with its begin."""

    def tell(self, what: str) -> None:
        """Something begins that belongs to the step that its text names before a colon."""
        name = what.partition(":")[0]
        if not self._steps or self._steps[-1][0] != name:
            self._steps.append((name, time.clock_gettime(time.CLOCK_BOOTTIME)))

    def table(self) -> Table:
        """The steps, in the order in which they began first, up to now; and what processors did in all."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        seconds: dict[str, float] = {}
        for name, took in self._took(now):
            seconds[name] = seconds.get(name, 0.0) + took
        table = Table("step", "seconds", box=None, pad_edge=False)
        table.columns[1].justify = "right"
        for name, took in seconds.items():
            table.add_row(name, f"{took:.1f}")
        table.add_row("total", f"{now - self._started:.1f}")
        table.add_row("on processors", f"{_processor_seconds():.1f}")
        return table

    def _took(self, now: float) -> Iterator[tuple[str, float]]:
        steps = [("starting", self._started), *self._steps, ("", now)]
        for (name, began), (_, ended) in pairwise(steps):
            yield name, ended - began


def _process_started() -> float:
    """When this process began, in seconds since the machine did."""
    after_name = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2]
    return int(after_name.split()[19]) / _CLOCK_TICKS


def _processor_seconds() -> float:
    """Of this process and all that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
