"""What metrics and the page ask of a servable that runs by plans, beyond what serving needs."""

from typing import Protocol, runtime_checkable

from chrion_api import SLO, Frontier, Mode
from chrion_runtime.choice.selection import Selection


@runtime_checkable
class PlannedServable(Protocol):
    """A servable whose plans are chosen by an objective."""

    @property
    def slo(self) -> SLO:
        """The objective that is pursued."""

    @property
    def mode(self) -> Mode:
        """What is minimised; never Auto."""

    @property
    def in_use(self) -> tuple[tuple[Frontier, Selection], ...]:
        """For each bucket, the plans that there are, and the one that serves, and why."""

    @property
    def off_profile(self) -> int:
        """Requests of shapes that no bucket was planned for."""
