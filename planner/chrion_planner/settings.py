"""What planning may use and take."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

from chrion_api import EXACT, HOST, Precision
from chrion_graph.limits import Limits
from chrion_graph.worker import ForkServer
from chrion_planner.partition import Budget
from chrion_planner.profiling import Figures
from chrion_planner.progress import Progress, silent, step

PROFILING, _SEARCHING = 0.6, 0.75
"""The parts of the time that are over when profiling must end, and when the search for plans must."""


@dataclass(frozen=True)
class PlanningSettings:
    """What planning may use and take."""

    devices: tuple[str, ...] = (HOST,)
    cpu_lanes: int = 0
    """0 for as many as the process may use."""
    limits: Limits = field(default_factory=Limits)
    budget: Budget = field(default_factory=Budget)
    timeout_seconds: float = 600.0
    """What planning may take in all; the best so far is kept."""
    started: float = field(default_factory=time.monotonic)
    server: ForkServer | None = None
    """Forks the processes that profile and measure; without one each stage of planning starts its own."""
    precision: Precision = EXACT
    """What may be given up of it."""
    figures: Figures | None = None
    """What is known of the devices from other models."""
    loading: int = 0
    """Contenders that are loaded at once. 0 for as many as there are cores, or 1 where a GPU is among the devices that
    may not tell what each process takes."""
    progress: Progress = silent
    warn: Callable[[str], None] = silent
    """Told of candidates that were dropped, and of profiles measured while other work went on."""

    @property
    def deadline(self) -> float:
        """When planning ends, by `time.monotonic`."""
        return self.started + self.timeout_seconds

    @property
    def profiled_by(self) -> float:
        """When profiling must end."""
        return self.started + PROFILING * self.timeout_seconds

    @property
    def searched_by(self) -> float:
        """When the search for plans must end."""
        return self.started + _SEARCHING * self.timeout_seconds

    def part(self, number: int, parts: int) -> Self:
        """The same for the n-th of so many parts: it may take an equal share of the time that is left for them."""
        left = self.deadline - time.monotonic()
        own = self.step(number / parts, (number + 1) / parts)
        return replace(own, timeout_seconds=self.timeout_seconds - left + left / (parts - number))

    def step(self, start: float, end: float, name: str = "") -> Self:
        """The same for a step, which takes this part of all."""
        return replace(self, progress=step(self.progress, start, end, name))
