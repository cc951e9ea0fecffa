"""The roles of algorithms in the pipeline, each with what it is given to begin with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chrion_planner.partition.problem import Budget, Problem, Schedule


@dataclass(frozen=True)
class Start:
    """Makes a schedule from nothing; None where it finds none within the memory budget."""

    name: str
    schedule: Callable[[Problem], Schedule | None]


@dataclass(frozen=True)
class Improver:
    """Makes the best of some schedules better, or leaves it as it is; None where there is none."""

    name: str
    schedule: Callable[[Problem, Budget, Sequence[Schedule]], Schedule | None]
    takes: Callable[[Problem], bool]
    """Whether a problem is small enough for it to find anything, whatever the budget."""


@dataclass(frozen=True)
class Prover:
    """Finds the best schedule there is, from a first one where there is one, and never a worse one.

    None where it does not take the problem on, or finds nothing.
    """

    name: str
    schedule: Callable[[Problem, Budget, Schedule | None], Schedule | None]


Algorithm = Start | Improver | Prover
