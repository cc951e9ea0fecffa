"""Show what the planner is doing, how far it is, and how long is left."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from chrion.timings import Timings

_LINE_SECONDS = 10.0
"""Where there is no terminal, a step says how far it is this often."""


class Display:
    """A progress bar on standard error where that is a terminal, else a line for each new step.

    What is told may name its step before a colon.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._console = Console(file=sys.stderr, highlight=False, quiet=quiet)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._step = ""
        self._timings = Timings()
        self._quiet_until = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def progress(self, what: str, done: float) -> None:
        """Take news: what is being done, and the part of all that is behind."""
        self._timings.tell(what)
        if self._bars.disable:
            step = what.partition(":")[0]
            if step != self._step or time.monotonic() > self._quiet_until:
                self._step, self._quiet_until = step, time.monotonic() + _LINE_SECONDS
                self._console.print(f"{what} ({done:.0%})", markup=False)
            return
        if self._task is None:
            self._task = self._bars.add_task(what, total=1.0)
        self._bars.update(self._task, completed=done, description=what[:60])

    def timings(self) -> None:
        """Print how long each step took, whatever else is printed."""
        Console(file=sys.stderr, highlight=False).print(self._timings.table())

    def warn(self, text: str) -> None:
        """Print a warning above the bar."""
        self._console.print(f"warning: {text}", markup=False, style="yellow", soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, markup=False, soft_wrap=True)
