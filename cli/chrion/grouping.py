"""Which models share a process: this one, or one of their own beside it."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from threading import Lock

from chrion.opening import Opening
from chrion.options import Isolate
from chrion_runtime.isolation import Group, IsolatedModel
from chrion_runtime.planned_model import PlannedModel
from chrion_runtime.run.machine import Machine

Served = PlannedModel | IsolatedModel


class Grouping:
    """Opens models where they belong. Safe to use from any thread."""

    def __init__(self, isolate: Isolate, setup: Callable[[], None], machine: Machine | None, several: bool) -> None:
        """`machine` is what the models of this process share; `setup` is called in every other.

        `several` says that models may be of several owners.
        """
        self._isolate = isolate
        self._setup = setup
        self._machine = machine
        self._several = several
        self._guard = Lock()
        self._of_owner: dict[str, Group] = {}

    def open(self, openings: Sequence[Opening]) -> list[Served]:
        """These models, in their order; where one cannot be opened, none is. Raises ChrionError."""
        groups = {id(opening): self._group(opening) for opening in openings}
        with ExitStack() as stack:
            found: dict[int, Served] = {}
            for group in dict.fromkeys(groups.values()):
                members = [opening for opening in openings if groups[id(opening)] is group]
                opened: Sequence[Served] = (
                    group.open([(one.name, one) for one in members]) if group else self._here(members)
                )
                for opening, served in zip(members, opened, strict=True):
                    found[id(opening)] = served
                    stack.callback(served.close)
            stack.pop_all()
        return [found[id(opening)] for opening in openings]

    def _here(self, openings: Sequence[Opening]) -> list[PlannedModel]:
        with ExitStack() as stack:
            models = []
            for opening in openings:
                models.append(opening(self._machine))
                stack.callback(models[-1].close)
            stack.pop_all()
        return models

    def _group(self, opening: Opening) -> Group | None:
        if self._isolate is Isolate.MODEL:
            return Group(opening.name, self._setup)
        owner = opening.owner
        if self._isolate is Isolate.OFF or not self._several or owner is None:
            return None
        with self._guard:
            return self._of_owner.setdefault(owner, Group(owner, self._setup))
