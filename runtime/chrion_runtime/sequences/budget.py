"""The bytes that the states of all models of a process may take together; who needs room has the longest idle go."""

from collections.abc import Callable
from threading import Lock
from typing import Protocol
from weakref import WeakKeyDictionary

from chrion_runtime.devices.run_memory import RUN_MEMORY, STATES_PART


class Keeper(Protocol):
    """What keeps states."""

    def idle_since(self) -> float | None:
        """When the longest idle of its sequences was used last; None where all are in use."""

    def give_up_idle(self) -> None:
        """Give up the longest idle sequence, if one still is."""


class StateBudget:
    """Counts what each keeper keeps, for as long as it lives. Safe to use from any thread."""

    def __init__(self, limit: Callable[[], int]) -> None:
        """`limit` says how many bytes it may be."""
        self._limit = limit
        self._guard = Lock()
        self._kept: WeakKeyDictionary[Keeper, int] = WeakKeyDictionary()

    @property
    def limit(self) -> int:
        """Bytes of all states together."""
        return self._limit()

    def take(self, keeper: Keeper, nbytes: int) -> bool:
        """Have a keeper keep that many more, at the cost of idle sequences; False where that is not enough.

        Must not be called with a lock that keepers take to answer.
        """
        while not self._fits(keeper, nbytes):
            with self._guard:
                keepers = list(self._kept)
            idle = [(since, one) for one in keepers if (since := one.idle_since()) is not None]
            if not idle:
                return False
            min(idle, key=lambda pair: pair[0])[1].give_up_idle()
        return True

    def give(self, keeper: Keeper, nbytes: int) -> None:
        """Have a keeper keep that many less."""
        with self._guard:
            self._kept[keeper] = self._kept.get(keeper, 0) - nbytes

    def _fits(self, keeper: Keeper, nbytes: int) -> bool:
        with self._guard:
            if nbytes > 0 and sum(self._kept.values()) + nbytes > self.limit:
                return False
            self._kept[keeper] = self._kept.get(keeper, 0) + nbytes
            return True


STATES = StateBudget(lambda: RUN_MEMORY.limit // STATES_PART)
"""This process's."""
