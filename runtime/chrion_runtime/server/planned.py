"""What metrics and the page ask of a servable that runs by plans, beyond what serving needs."""

from typing import Protocol, runtime_checkable

from chrion_api import SLO, Frontier, Mode
from chrion_runtime.selection import Selection


@runtime_checkable
class Planned(Protocol):
    """A servable whose plans are chosen by an objective; the n-th selection is from the n-th frontier."""

    @property
    def slo(self) -> SLO:
        """The objective that is pursued."""

    @property
    def mode(self) -> Mode:
        """What is minimised; never Auto."""

    @property
    def frontiers(self) -> tuple[Frontier, ...]:
        """The plans that there are for each bucket."""

    @property
    def selections(self) -> tuple[Selection, ...]:
        """The plan that serves each bucket, and why."""

    @property
    def off_profile(self) -> int:
        """Requests of shapes that no bucket was planned for."""
